// Metric points in the order in which they became known, for those that follow them (coordinator/tracking).
// While at least one sink is registered, Store::Commit appends what each point adds to its step: a value that
// a step already has is not told again, so a replay, or a stretch that is trained again from a checkpoint,
// adds nothing. A change is kept until every registered sink is done with it.
//
// A connection of its own on the store's file: nothing here waits in line with the store's reads.
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "coordinator/store/sqlite_database.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

struct PointChange {
  int64_t position = 0;
  std::string job_id;
  absl::Time time;        // when it was stored
  v1::MetricPoint point;  // only the values that the step did not have before
};

// How far a sink is with a job.
struct TrackedJob {
  std::string job_id;
  int64_t position = 0;  // of the last change that it has
  int64_t step = -1;     // furthest step that it has
  bool ended = false;    // it knows how the job ended
  bool refused = false;  // it will never take this job
  std::string state;     // the sink's own words
};

class PointLog {
 public:
  // Opens the log in the store's file `path`, which OpenSqliteStore has already brought to this version.
  // `sinks` are those from now on: others are forgotten, and what only they waited for with them; a new one
  // begins with what the active jobs have so far and it does not.
  static absl::StatusOr<std::unique_ptr<PointLog>> Open(const std::string& path,
                                                        const std::vector<std::string>& sinks);

  absl::StatusOr<int64_t> Position(const std::string& sink);  // of the last change that it is done with
  absl::StatusOr<int64_t> End();                              // of the newest change there ever was
  // At most `limit` changes after `position`, in order.
  absl::StatusOr<std::vector<PointChange>> Read(const std::string& sink, int64_t position, int limit);

  absl::StatusOr<std::optional<TrackedJob>> FindJob(const std::string& sink, const std::string& job_id);
  absl::StatusOr<std::vector<TrackedJob>> OpenJobs(const std::string& sink);  // not ended

  // On disk when it returns, as a whole: the sink is done with all up to `position`, and stands with the jobs
  // as given. UNAVAILABLE: nothing was stored.
  absl::Status Commit(const std::string& sink, int64_t position, const std::vector<TrackedJob>& jobs);

 private:
  explicit PointLog(std::unique_ptr<SqliteDatabase> database) : database_(std::move(database)) {}
  absl::Status Register(const std::vector<std::string>& sinks);

  absl::Mutex mutex_;
  const std::unique_ptr<SqliteDatabase> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace lockstep
