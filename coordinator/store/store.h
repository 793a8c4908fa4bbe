// What the coordinator must not forget. All changes of one round of the control loop form a Batch; a Batch is
// on disk as a whole (fsync) when Commit returns OK, or not at all. Replaying a batch is harmless: jobs,
// datasets and checkpoints are upserts, metric points are keyed by (job, step), log lines by (job,
// generation, rank, sequence).
//
// Thread-safe. Reads see what was committed before they began and do not wait for a commit.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/goodput.pb.h"
#include "lockstep/v1/jobs.pb.h"
#include "lockstep/v1/namespaces.pb.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

// A job and what only the coordinator needs to know of it.
struct StoredJob {
  v1::Job job;
  std::string restore_from;   // checkpoint folder for the next start; empty: fresh weights
  bool weights_only = false;  // restore_from gives weights alone (spec.from)
  std::string from_path;      // spec.from as a folder, resolved at submit
  v1::JobTime time;           // what it has cost so far
};

struct StoredTransition {
  std::string job_id;
  v1::JobState from = v1::JOB_STATE_UNSPECIFIED;  // UNSPECIFIED: the job was just submitted
  v1::JobState to = v1::JOB_STATE_UNSPECIFIED;
  std::string reason;
  absl::Time time;
};

// A client's request id, and what was asked for under it.
struct StoredRequest {
  std::string request_id;
  std::string job_id;
  std::string spec_digest;  // a repeated request must carry an equal one
};

struct StoredPoint {
  std::string job_id;
  v1::MetricPoint point;  // values are merged into those that the step already has
};

struct StoredLine {
  std::string job_id;
  v1::LogLine line;
};

struct RemovedCheckpoint {
  std::string job_id;
  std::string path;
};

// A job that is to go: its files first, then its rows.
struct StoredDeletion {
  std::string job_id;
  bool keep_model = false;
};

struct RemovedCordon {
  std::string worker;
  std::string device;
};

// Jobs to be listed.
struct JobFilter {
  std::vector<v1::JobState> states = {};  // empty: all
  std::string space = "";                 // their namespace; empty: all
};

// Something that happened to a worker, or to one device of it.
struct FleetEvent {
  // The store has their numbers: append.
  enum class Kind { kJoined, kDraining, kLost, kLeft, kFailure, kCordoned, kQuarantined, kUncordoned };
  absl::Time time;
  Kind kind = Kind::kJoined;
  std::string worker;
  std::string device;  // empty: all of the worker
  std::string job;     // id; empty: none was concerned
  std::string text;    // for people; may be empty
};

inline constexpr int kMostFleetEvents = 2'000;  // that are kept

struct Batch {
  std::vector<StoredJob> jobs;
  std::vector<StoredTransition> transitions;
  std::vector<StoredRequest> requests;
  std::vector<v1::Dataset> datasets;
  std::vector<StoredPoint> points;
  std::vector<StoredLine> lines;
  std::vector<v1::Checkpoint> checkpoints;
  std::vector<RemovedCheckpoint> removed_checkpoints;
  std::vector<v1::Cordon> cordons;
  std::vector<RemovedCordon> removed_cordons;
  std::vector<v1::Namespace> namespaces;
  std::vector<std::string> removed_namespaces;
  std::vector<StoredDeletion> deletions;
  std::vector<std::string> removed_jobs;  // ids: the rows, with the mark of their deletion
  std::vector<FleetEvent> fleet_events;   // after those that are there; the oldest go

  bool empty() const {
    return jobs.empty() && transitions.empty() && requests.empty() && datasets.empty() && points.empty() &&
           lines.empty() && checkpoints.empty() && removed_checkpoints.empty() && cordons.empty() &&
           removed_cordons.empty() && namespaces.empty() && removed_namespaces.empty() && deletions.empty() &&
           removed_jobs.empty() && fleet_events.empty();
  }
};

// A page of a job's log; `position` is where to go on reading from.
struct LogPage {
  std::vector<v1::LogLine> lines;
  int64_t position = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // UNAVAILABLE: nothing of the batch was stored (disk full, I/O error: the message says which), try again.
  virtual absl::Status Commit(const Batch& batch) = 0;

  // Removes at most `limit` rows of the job's log and as many of its points; true: there are more.
  // UNAVAILABLE, as Commit. So that the commit that removes the job itself takes no time.
  virtual absl::StatusOr<bool> RemoveSome(const std::string& job_id, int limit) = 0;
  virtual absl::StatusOr<std::vector<StoredDeletion>> LoadDeletions() = 0;

  // Every job that is not final, oldest first. Final ones stay on disk until they are asked for.
  virtual absl::StatusOr<std::vector<StoredJob>> LoadActiveJobs() = 0;
  virtual absl::StatusOr<StoredJob> GetJob(const std::string& id) = 0;  // NOT_FOUND
  // The newest job of that name in the namespace. NOT_FOUND.
  virtual absl::StatusOr<StoredJob> FindJobByName(const std::string& space, const std::string& name) = 0;
  // At most `limit` jobs with an id below `before` (empty: from the newest on), newest first.
  virtual absl::StatusOr<std::vector<StoredJob>> ListJobs(const JobFilter& filter, const std::string& before,
                                                          int limit) = 0;
  virtual absl::StatusOr<std::map<v1::JobState, int64_t>> CountJobs() = 0;
  virtual absl::StatusOr<std::string> LastJobId() = 0;  // empty: no job yet
  virtual absl::StatusOr<std::optional<StoredRequest>> FindRequest(const std::string& request_id) = 0;
  virtual absl::StatusOr<std::vector<StoredTransition>> ListTransitions(const std::string& job_id) = 0;

  // Datasets. SaveDataset returns when it is on disk; (name, version) is the key.
  virtual absl::Status SaveDataset(const v1::Dataset& dataset) = 0;
  virtual absl::StatusOr<std::vector<v1::Dataset>> LoadDatasets() = 0;  // by name, then version
  virtual absl::StatusOr<std::optional<v1::Dataset>> FindDataset(const std::string& name, int version) = 0;

  // At most `limit` points with a step above `after_step`, by step.
  virtual absl::StatusOr<std::vector<v1::MetricPoint>> ReadMetrics(const std::string& job_id,
                                                                   int64_t after_step, int limit) = 0;
  // At most `limit` lines after `position` (0: from the first one), in order of arrival.
  virtual absl::StatusOr<LogPage> ReadLogs(const std::string& job_id, int64_t position, int limit) = 0;
  // The position from which ReadLogs gives the last `lines` lines.
  virtual absl::StatusOr<int64_t> LogTail(const std::string& job_id, int64_t lines) = 0;
  virtual absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(const std::string& job_id) = 0;
  // The newest one of each job that is in one of `states`, if it has any. One query, however many jobs there
  // are.
  virtual absl::StatusOr<std::vector<v1::Checkpoint>> NewestCheckpoints(
      const std::vector<v1::JobState>& states) = 0;
  virtual absl::StatusOr<std::vector<v1::Cordon>> LoadCordons() = 0;
  virtual absl::StatusOr<std::vector<FleetEvent>> LoadFleetEvents() = 0;    // oldest first
  virtual absl::StatusOr<std::vector<v1::Namespace>> LoadNamespaces() = 0;  // by name; without their use
  // Bytes of the checkpoints and models of a namespace's jobs, summed up from their rows, which an index has
  // in one place; and of all namespaces that have any.
  virtual absl::StatusOr<int64_t> StorageOf(const std::string& space) = 0;
  virtual absl::StatusOr<std::map<std::string, int64_t>> StorageOfAll() = 0;
};

}  // namespace lockstep
