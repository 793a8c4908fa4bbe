// Writes each job's points where TensorBoard looks: DIR/<name>-<id>/events.out.tfevents.*, one file a job.
// How long the file is, is part of the follower's durable position: what a crash left beyond it is cut off
// and written again, with the same bytes, so that a reader that was ahead does not notice.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/tracking/sink.h"

namespace lockstep {

class TensorboardSink : public TrackingSink {
 public:
  // Makes the folder. FAILED_PRECONDITION: it cannot be made.
  static absl::StatusOr<std::unique_ptr<TensorboardSink>> Open(const std::string& directory);

  static std::string Id(const std::string& directory) { return "tensorboard " + directory; }
  std::string kind() const override { return "tensorboard"; }
  std::string id() const override { return Id(directory_); }
  absl::Status Write(const v1::Job& job, const std::vector<PointChange>& points,
                     TrackedJob* tracked) override;
  absl::Status End(const v1::Job& job, TrackedJob* tracked) override;

 private:
  explicit TensorboardSink(std::string directory) : directory_(std::move(directory)) {}
  absl::Status Append(const v1::Job& job, const std::string& records, TrackedJob* tracked);

  const std::string directory_;
};

}  // namespace lockstep
