// What the control thread knows of a job and of a worker beyond what is stored.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/store/store.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

// StoredJob::restore_from of a queued job whose newest whole checkpoint has still to be looked for.
inline constexpr char kNewestCheckpoint[] = "newest";

inline bool HasEnded(v1::AssignmentState state) {
  return state == v1::ASSIGNMENT_STATE_SUCCEEDED || state == v1::ASSIGNMENT_STATE_FAILED ||
         state == v1::ASSIGNMENT_STATE_CRASHED || state == v1::ASSIGNMENT_STATE_STOPPED;
}

// One rank of a job's current generation.
struct Member {
  std::string worker;
  std::string device;
  v1::AssignmentState state = v1::ASSIGNMENT_STATE_UNSPECIFIED;  // UNSPECIFIED: not heard of yet
  std::string address;                                           // of the rendezvous; empty: not yet known
  int64_t since = 0;                                             // the generation that its process joined in
  int64_t heard = 0;         // the newest generation that it reported on, since the coordinator's start
  bool holds_state = false;  // it made a step, or waits with its memory intact
  int slow = 0;              // reports of its step times in a row that showed it as a straggler
  std::string gone;          // why it will not go on; empty: it lives, as far as we know
  const char* cause = "";    // the same in a word, for lockstep_job_restarts_total
};

// A device of a worker.
struct Slot {
  std::string worker;
  std::string device;
  friend auto operator<=>(const Slot&, const Slot&) = default;
};

// What the spec says, unless somebody scaled the job to fewer.
inline int LeastWorkers(const v1::Job& job) {
  const int least = std::max(1, job.spec().workers().min());
  return job.workers_wanted() > 0 ? std::min(least, job.workers_wanted()) : least;
}

// As many as it would take.
inline int MostWorkers(const v1::Job& job) {
  return job.workers_wanted() > 0 ? job.workers_wanted()
                                  : std::max(LeastWorkers(job), job.spec().workers().max());
}

struct JobRecord {
  StoredJob stored;
  std::shared_ptr<const v1::Dataset> dataset;  // shared by the jobs of one version
  std::vector<Member> members;                 // by rank; of generation stored.job.generation()
  std::vector<Member> leaving;                 // of the generation before; they go at its last boundary
  int64_t accepted_from = 0;  // oldest generation whose progress counts: lower while a growth is under way
  bool told = true;           // all members have the order; false: newcomers prepare first
  bool adopting = false;      // after a restart of the coordinator, until its members have reported
  bool broken = false;        // the generation cannot go on; the scheduler makes the next
  std::string broken_reason;  // the last one, while recovering
  bool stepped = false;       // somebody made a step since Start
  int64_t best_step = 0;      // furthest step heard of
  int64_t best_before = 0;    // then, when the generation was made
  int64_t reached = 0;        // furthest step heard of in this generation
  int failures = 0;  // since a step beyond failed_step; not those that got further than the one before
  int64_t failed_step = -1;       // best_step at the last of them
  int64_t failed_at = -1;         // reached, then: less than failed_step where steps are done again
  int64_t failed_generation = 0;  // the last one that counted as a failure
  absl::Time interrupted_at = absl::InfiniteFuture();  // a lost peer was reported
  std::string interruption;                            // by whom, and what it said
  std::set<Slot> avoid;                                // devices that cannot serve this job
  std::map<Slot, int> lost_newcomers;                  // by device: deaths before they were of any use
  bool rendezvous_sent = false;
  bool requeue_when_stopped = false;                 // a pause that only frees the devices
  std::string preempted_by;                          // for whom; empty: for no other job
  v1::Stop::Mode stop = v1::Stop::MODE_UNSPECIFIED;  // sent to the current generation
  absl::Time deadline = absl::InfiniteFuture();      // of the start, the stop or the adoption
  absl::Time queued_at = absl::InfinitePast();       // InfinitePast: at its submission, or not known
  std::string note;  // where its weights come from, if not from the start: joins its reason

  const std::string& id() const { return stored.job.id(); }
  v1::JobState state() const { return stored.job.state(); }
  bool growing() const { return accepted_from < stored.job.generation(); }
  Member* FindMember(const std::string& worker, const std::string& device) {
    for (Member& member : members) {
      if (member.worker == worker && member.device == device) return &member;
    }
    return nullptr;
  }
};

// What a job holds of its namespace's quota: those that it is giving back, too.
inline int DevicesOf(const JobRecord& job) {
  const v1::JobState state = job.state();
  const bool holds =
      state == v1::JOB_STATE_STARTING || state == v1::JOB_STATE_RUNNING || state == v1::JOB_STATE_RECOVERING;
  return holds ? static_cast<int>(job.members.size() + job.leaving.size()) : 0;
}

// An assignment that a device has, as far as we know, not yet ended.
struct Hold {
  std::string job;
  int64_t generation = 0;
  int rank = 0;
  absl::Time drop_at = absl::InfiniteFuture();  // set by an abort: an agent that does not answer forgot it
};

struct WorkerRecord {
  std::string name;
  std::string incarnation;
  std::string host;
  std::string version;
  std::vector<v1::Device> devices;
  v1::WorkerState state = v1::WORKER_STATE_READY;
  int64_t session = 0;  // 0: its stream is gone
  bool allows_chaos = false;
  bool storage_known = false;  // it has shown that it sees our artifact root
  absl::Time connected_at;
  absl::Time last_heard;
  std::map<std::string, Hold> holds;  // by device
  std::vector<absl::Time> failures;   // that were not a job's own fault; see node_failures.h
};

}  // namespace lockstep
