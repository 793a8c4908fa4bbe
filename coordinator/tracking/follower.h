// Brings metric points from the store to one sink, on a thread of its own. A round reads the changes after
// the durable position, writes them job by job, then stores the new position and what the sink must know, in
// one transaction. A sink that fails is asked again after 1, 2, 4, ... 60 s; meanwhile nothing is lost, the
// changes wait in the store. A job that the sink refuses for good is left out, and counted.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "coordinator/store/store.h"
#include "coordinator/tracking/sink.h"

namespace lockstep {

struct FollowerCounters {
  int64_t points_written = 0;
  int64_t points_refused = 0;
  int64_t failures = 0;
  int64_t lag = 0;  // changes that wait
};

class Follower {
 public:
  struct Options {
    absl::Duration poll = absl::Milliseconds(500);
    absl::Duration longest_backoff = absl::Seconds(60);
    int page = 1000;  // changes in a round
  };
  // Neither `log` nor `store` is owned; the sink is registered with `log`.
  static absl::StatusOr<std::unique_ptr<Follower>> Start(const Options& options, PointLog* log, Store* store,
                                                         std::unique_ptr<TrackingSink> sink);
  ~Follower();

  std::string kind() const { return sink_->kind(); }
  FollowerCounters Counters() const;

 private:
  Follower(const Options& options, PointLog* log, Store* store, std::unique_ptr<TrackingSink> sink,
           int64_t position);
  void Run();
  // True: there may be more at once.
  absl::StatusOr<bool> Round();
  // Brings `changes` to the sink. The first failure that may pass ends it: `written` is what is done.
  struct Written {
    int64_t position = 0;
    std::vector<TrackedJob> jobs;
    absl::Status status;
  };
  Written WriteAll(const std::vector<PointChange>& changes, int64_t end);
  absl::Status WriteJob(const std::vector<PointChange>& points, TrackedJob* tracked);
  absl::Status EndJobs(const std::vector<TrackedJob>& finals);
  absl::Status Commit(int64_t position, const std::vector<TrackedJob>& jobs);
  absl::StatusOr<std::vector<TrackedJob>> FinalJobs();

  const Options options_;
  PointLog* const log_;
  Store* const store_;
  const std::unique_ptr<TrackingSink> sink_;
  int64_t position_;  // the thread's own
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  FollowerCounters counters_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace lockstep
