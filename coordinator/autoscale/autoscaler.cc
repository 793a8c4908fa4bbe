#include "coordinator/autoscale/autoscaler.h"

#include <algorithm>

#include "common/logging/logging.h"

namespace lockstep {

Autoscaler::Autoscaler(const ScaleLimits& limits, std::string stateful_set, const Pace& pace,
                       std::unique_ptr<KubernetesScale> cluster, Source source, Clock* clock)
    : limits_(limits),
      stateful_set_(std::move(stateful_set)),
      pace_(pace),
      cluster_(std::move(cluster)),
      source_(std::move(source)),
      clock_(clock),
      thread_([this] { Run(); }) {}

Autoscaler::~Autoscaler() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  cluster_->Stop();
  wake_.notify_all();
  thread_.join();
}

AutoscaleCounters Autoscaler::Counters() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return counters_;
}

void Autoscaler::Run() {
  const absl::Duration first = std::min(absl::Seconds(1), pace_.longest_backoff);
  absl::Duration backoff = first;
  std::string told;
  while (true) {
    const absl::Status status = Round();
    std::unique_lock<std::mutex> lock(mutex_);
    if (stopping_) return;
    absl::Duration pause = pace_.poll;
    if (status.ok()) {
      told.clear();
      backoff = first;
    } else {
      ++counters_.failures;
      pause = backoff;
      backoff = std::min(2 * backoff, pace_.longest_backoff);
      if (std::string text(status.message()); text != told) {
        LogWarning("autoscaling waits", {{"error", status}});
        told = std::move(text);
      }
    }
    wake_.wait_for(lock, absl::ToChronoNanoseconds(pause), [this] { return stopping_; });
    if (stopping_) return;
  }
}

absl::Status Autoscaler::Round() {
  ASSIGN_OR_RETURN(const KubernetesScale::Scale scale, cluster_->Get());
  // After the answer, which may have taken long.
  const SetFacts set = ReadSet(stateful_set_, source_.workers());
  if (set.devices_per_worker > 0) devices_per_worker_ = set.devices_per_worker;
  const ScaleDecision decision = DecideScale(clock_->Now(),
                                             {.devices_wanted = source_.devices_wanted(),
                                              .devices_per_worker = devices_per_worker_,
                                              .busy_workers = set.busy_workers,
                                              .replicas = scale.replicas},
                                             limits_, &history_);
  if (decision.replicas != scale.replicas) {
    RETURN_IF_ERROR(cluster_->Set(scale, decision.replicas));
    LogInfo("scaled the workers", {{"stateful_set", stateful_set_},
                                   {"from", scale.replicas},
                                   {"to", decision.replicas},
                                   {"because", decision.reason}});
  }
  std::lock_guard<std::mutex> lock(mutex_);
  counters_.replicas = decision.replicas;
  counters_.changes += decision.replicas != scale.replicas ? 1 : 0;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Autoscaler>> StartAutoscaler(const AutoscaleOptions& options,
                                                            Autoscaler::Source source, Clock* clock) {
  if (options.cluster.empty()) return nullptr;
  ASSIGN_OR_RETURN(auto cluster, KubernetesScale::Open(options.kubernetes));
  return std::make_unique<Autoscaler>(options.limits, options.kubernetes.stateful_set, Autoscaler::Pace{},
                                      std::move(cluster), std::move(source), clock);
}

}  // namespace lockstep
