#include "worker/agent/worker_metrics.h"

#include "common/metrics/families.h"
#include "worker/agent/declarations.h"

namespace lockstep {
namespace {

prometheus::Counter& Count(prometheus::Registry* registry, const MetricDeclaration& declaration,
                           const prometheus::Labels& labels = {}) {
  return RegisterCounter(declaration, registry).Add(labels);
}

prometheus::Gauge& Level(prometheus::Registry* registry, const MetricDeclaration& declaration) {
  return RegisterGauge(declaration, registry).Add({});
}

prometheus::Counter& Seconds(prometheus::Registry* registry, const std::string& kind) {
  return Count(registry, kWorkerSeconds, {{"kind", kind}});
}

}  // namespace

WorkerMetrics::WorkerMetrics(prometheus::Registry* registry)
    : slots(Level(registry, kWorkerSlots)),
      slots_busy(Level(registry, kWorkerSlotsBusy)),
      slots_broken(Level(registry, kWorkerSlotsBroken)),
      trainer_restarts(Count(registry, kWorkerRestarts)),
      heartbeats(Count(registry, kWorkerHeartbeats)),
      connected(Level(registry, kWorkerConnected)),
      reconnects(Count(registry, kWorkerReconnects)),
      compute_seconds(Seconds(registry, "compute")),
      communication_seconds(Seconds(registry, "communication")),
      input_seconds(Seconds(registry, "input")),
      checkpoint_seconds(Seconds(registry, "checkpoint")),
      steps(Count(registry, kWorkerSteps)),
      samples(Count(registry, kWorkerSamples)),
      tokens(Count(registry, kWorkerTokens)),
      round_trip(RegisterHistogram(kWorkerRoundTrip, registry)
                     .Add({}, prometheus::Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                                      0.1, 0.25, 1, 5})),
      dataset_bytes(Count(registry, kWorkerDatasetBytes)),
      log_lines(Count(registry, kWorkerLines)),
      log_lines_dropped(Count(registry, kWorkerLinesDropped)),
      crashes_(RegisterCounter(kWorkerCrashes, registry)) {
  // The usual ones exist from the start, so that a rate over the first crash is right.
  for (const char* signal : {"none", "SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS"})
    crashes_.Add({{"signal", signal}});
}

void WorkerMetrics::TrainerCrashed(const std::string& signal) {
  crashes_.Add({{"signal", signal}}).Increment();
}

}  // namespace lockstep
