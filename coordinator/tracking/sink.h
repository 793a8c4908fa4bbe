// Somebody else's record of experiments that a follower (follower.h) keeps up to date.
//
// All calls come from one thread and may block. OK: it is durable there. A call may come again with the same
// arguments, after a crash or a failure: the sink must see to it that nothing stands there twice.
// INVALID_ARGUMENT: the other side will never take this job. Any other error: try again later.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "coordinator/store/point_log.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

class TrackingSink {
 public:
  virtual ~TrackingSink() = default;

  virtual std::string kind() const = 0;  // "mlflow": a metric's label
  virtual std::string id() const = 0;    // kind and target: under which its position is stored

  // `points` are of `job`, in order. `tracked` says what the sink has; the sink keeps what it must know after
  // a restart in tracked->state. tracked->ended: it was told that the job ended, which now goes on.
  virtual absl::Status Write(const v1::Job& job, const std::vector<PointChange>& points,
                             TrackedJob* tracked) = 0;
  // The job is final, and all its points were written. REQUIRES: Write was called.
  virtual absl::Status End(const v1::Job& job, TrackedJob* tracked) = 0;
  // From another thread: a call that waits for the network ends soon, with an error.
  virtual void Stop() {}
};

// What a job's end adds to its points: the metrics of the test part, at its last step.
inline v1::MetricPoint FinalPoint(const v1::Job& job) {
  v1::MetricPoint point;
  point.set_step(job.progress().step());
  for (const auto& [name, value] : job.metrics()) {
    if (name.starts_with("test/")) (*point.mutable_values())[name] = value;
  }
  return point;
}

}  // namespace lockstep
