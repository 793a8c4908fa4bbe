#include "coordinator/tracking/tracking.h"

#include "coordinator/tracking/mlflow_sink.h"
#include "coordinator/tracking/tensorboard_sink.h"

namespace lockstep {

absl::StatusOr<std::unique_ptr<Tracking>> Tracking::Start(const TrackingOptions& options,
                                                          const std::string& store_path, Store* store) {
  std::vector<std::unique_ptr<TrackingSink>> sinks;
  if (!options.tensorboard_dir.empty()) {
    ASSIGN_OR_RETURN(auto sink, TensorboardSink::Open(options.tensorboard_dir));
    sinks.push_back(std::move(sink));
  }
  if (!options.mlflow.empty()) {
    sinks.push_back(std::make_unique<MlflowSink>(options.mlflow, options.mlflow_experiment));
  }
  std::vector<std::string> ids;
  for (const auto& sink : sinks) ids.push_back(sink->id());
  auto tracking = std::make_unique<Tracking>();
  ASSIGN_OR_RETURN(tracking->log_, PointLog::Open(store_path, ids));
  for (auto& sink : sinks) {
    ASSIGN_OR_RETURN(auto follower, Follower::Start({}, tracking->log_.get(), store, std::move(sink)));
    tracking->followers_.push_back(std::move(follower));
  }
  return tracking;
}

std::vector<const Follower*> Tracking::followers() const {
  std::vector<const Follower*> followers;
  for (const auto& follower : followers_) followers.push_back(follower.get());
  return followers;
}

}  // namespace lockstep
