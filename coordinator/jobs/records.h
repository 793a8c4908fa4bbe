// What the control thread knows of a job and of a worker beyond what is stored.
#pragma once

#include <map>
#include <memory>
#include <optional>
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
  bool survivor = false;                                         // was in the generation before
};

// Why a job is about to fail: the best explanation so far.
struct Failure {
  std::string reason;
  absl::Time deadline;  // until then a crashed peer may still be reported, which explains more
};

struct JobRecord {
  StoredJob stored;
  std::shared_ptr<const v1::Dataset> dataset;  // shared by the jobs of one version
  std::vector<Member> members;                 // by rank; of generation stored.job.generation()
  int64_t accepted_from = 0;  // oldest generation whose reports count: lower while a growth is under way
  bool rendezvous_sent = false;
  bool requeue_when_stopped = false;                 // a pause that only frees the devices
  v1::Stop::Mode stop = v1::Stop::MODE_UNSPECIFIED;  // sent to the current generation
  absl::Time deadline = absl::InfiniteFuture();      // of the start, the stop or the adoption
  std::optional<Failure> failure;
  std::string note;  // where its weights come from, if not from the start: joins its reason

  const std::string& id() const { return stored.job.id(); }
  v1::JobState state() const { return stored.job.state(); }
  bool growing() const { return accepted_from < stored.job.generation(); }
};

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
  int64_t session = 0;         // 0: its stream is gone
  bool storage_known = false;  // it has shown that it sees our artifact root
  absl::Time connected_at;
  absl::Time last_heard;
  std::map<std::string, Hold> holds;  // by device
};

}  // namespace lockstep
