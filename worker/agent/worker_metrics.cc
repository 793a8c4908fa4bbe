#include "worker/agent/worker_metrics.h"

#include <prometheus/registry.h>

namespace lockstep {
namespace {

prometheus::Counter& Count(prometheus::Registry* registry, const std::string& name, const std::string& help,
                           const prometheus::Labels& labels = {}) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry).Add(labels);
}

prometheus::Gauge& Level(prometheus::Registry* registry, const std::string& name, const std::string& help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry).Add({});
}

prometheus::Counter& Seconds(prometheus::Registry* registry, const std::string& kind) {
  return Count(registry, "lockstep_worker_trainer_seconds_total", "Where the trainers' wall clock went.",
               {{"kind", kind}});
}

}  // namespace

WorkerMetrics::WorkerMetrics(prometheus::Registry* registry)
    : slots(Level(registry, "lockstep_worker_slots", "Slots of this worker, each with a trainer process.")),
      slots_busy(Level(registry, "lockstep_worker_slots_busy", "Slots that work for a job.")),
      slots_broken(Level(registry, "lockstep_worker_slots_broken", "Slots whose trainers die while idle.")),
      trainer_restarts(Count(registry, "lockstep_worker_trainer_restarts_total",
                             "Trainer processes started in place of one that ended.")),
      heartbeats(Count(registry, "lockstep_worker_heartbeats_total", "Heartbeats sent to the coordinator.")),
      connected(
          Level(registry, "lockstep_worker_connected", "1 while registered with the coordinator, else 0.")),
      reconnects(Count(registry, "lockstep_worker_reconnects_total",
                       "Streams to the coordinator that broke and were opened again.")),
      compute_seconds(Seconds(registry, "compute")),
      communication_seconds(Seconds(registry, "communication")),
      input_seconds(Seconds(registry, "input")),
      checkpoint_seconds(Seconds(registry, "checkpoint")),
      steps(
          Count(registry, "lockstep_worker_steps_total", "Optimizer steps that trainers here took part in.")),
      samples(Count(registry, "lockstep_worker_samples_total",
                    "Training samples that trainers here went through.")),
      dataset_bytes(Count(registry, "lockstep_worker_dataset_fetched_bytes_total",
                          "Dataset bytes fetched from the coordinator.")),
      log_lines(
          Count(registry, "lockstep_worker_log_lines_total", "Lines that trainers wrote for their jobs.")),
      log_lines_dropped(Count(registry, "lockstep_worker_log_lines_dropped_total",
                              "Lines dropped because the coordinator was away for too long.")),
      crashes_(prometheus::BuildCounter()
                   .Name("lockstep_worker_trainer_crashes_total")
                   .Help("Trainers that died by themselves, by signal (none: by an exit code).")
                   .Register(*registry)) {
  // The usual ones exist from the start, so that a rate over the first crash is right.
  for (const char* signal : {"none", "SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS"})
    crashes_.Add({{"signal", signal}});
}

void WorkerMetrics::TrainerCrashed(const std::string& signal) {
  crashes_.Add({{"signal", signal}}).Increment();
}

}  // namespace lockstep
