#include "coordinator/http/controller_metrics.h"

#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/metrics/families.h"

namespace lockstep {
namespace {

// "JOB_STATE_RUNNING" -> "running". Every state has a sample, 0 or not, so that no series comes and goes.
std::string LabelOf(const google::protobuf::EnumValueDescriptor& value, const std::string& prefix) {
  return absl::AsciiStrToLower(value.name().substr(prefix.size()));
}

prometheus::MetricFamily ByState(prometheus::MetricFamily family,
                                 const google::protobuf::EnumDescriptor& states, const std::string& prefix,
                                 const int64_t* counts) {
  for (int i = 0; i < states.value_count(); ++i) {
    const auto& state = *states.value(i);
    if (state.number() == 0) continue;
    AddSample(&family, static_cast<double>(counts[state.number()]), {{"state", LabelOf(state, prefix)}});
  }
  return family;
}

prometheus::MetricFamily One(prometheus::MetricFamily family, double value) {
  AddSample(&family, value);
  return family;
}

MetricLabels LabelsOf(const ControllerSnapshot::Rank& rank) {
  return {{"job", rank.job},
          {"rank", std::to_string(rank.member.rank())},
          {"worker", rank.member.worker()},
          {"device", rank.member.device()}};
}

prometheus::MetricFamily StepSeconds(const std::vector<ControllerSnapshot::Rank>& ranks) {
  auto family = GaugeFamily("lockstep_rank_step_seconds",
                            "What a step takes a rank on average, of running jobs, by kind.");
  for (const auto& rank : ranks) {
    const v1::StepTimes& times = rank.member.times();
    for (const auto& [kind, seconds] :
         {std::pair{"input", times.input()}, std::pair{"compute", times.compute()},
          std::pair{"communication", times.communication()}}) {
      MetricLabels labels = LabelsOf(rank);
      labels.emplace_back("kind", kind);
      AddSample(&family, seconds, labels);
    }
  }
  return family;
}

prometheus::MetricFamily Stragglers(const std::vector<ControllerSnapshot::Rank>& ranks) {
  auto family = GaugeFamily("lockstep_rank_straggler",
                            "1 for a rank that the others wait for, else 0; of running jobs.");
  for (const auto& rank : ranks) AddSample(&family, rank.member.straggler().empty() ? 0 : 1, LabelsOf(rank));
  return family;
}

class ControllerMetrics : public prometheus::Collectable {
 public:
  explicit ControllerMetrics(std::function<ControllerSnapshot()> snapshot) : snapshot_(std::move(snapshot)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const ControllerSnapshot now = snapshot_();
    const auto number = [](int64_t value) { return static_cast<double>(value); };
    std::vector<prometheus::MetricFamily> families;
    families.push_back(ByState(GaugeFamily("lockstep_jobs", "Jobs known, by state."),
                               *v1::JobState_descriptor(), "JOB_STATE_", now.jobs_by_state));
    families.push_back(One(GaugeFamily("lockstep_queue_jobs", "Jobs that wait for devices."),
                           number(now.jobs_by_state[v1::JOB_STATE_QUEUED])));
    families.push_back(ByState(GaugeFamily("lockstep_workers", "Workers known, by state."),
                               *v1::WorkerState_descriptor(), "WORKER_STATE_", now.workers_by_state));
    families.push_back(
        One(GaugeFamily("lockstep_devices", "Devices of the connected workers."), number(now.devices_total)));
    families.push_back(
        One(GaugeFamily("lockstep_devices_busy", "Devices that a job holds."), number(now.devices_busy)));
    families.push_back(
        One(CounterFamily("lockstep_submits_total", "Jobs accepted."), number(now.submits_total)));
    families.push_back(One(CounterFamily("lockstep_steps_total", "Optimizer steps done, over all jobs."),
                           number(now.steps_total)));
    families.push_back(One(CounterFamily("lockstep_checkpoints_total", "Checkpoints written."),
                           number(now.checkpoints_total)));
    families.push_back(
        One(CounterFamily("lockstep_checkpoint_failures_total", "Checkpoints that could not be written."),
            number(now.checkpoint_failures_total)));
    families.push_back(
        One(CounterFamily("lockstep_trainer_crashes_total", "Trainer processes that died on the job."),
            number(now.trainer_crashes_total)));
    families.push_back(
        One(GaugeFamily("lockstep_last_schedule_seconds", "Time that the last scheduling decision took."),
            now.last_schedule_seconds));
    if (!now.ranks.empty()) {
      families.push_back(StepSeconds(now.ranks));
      families.push_back(Stragglers(now.ranks));
    }
    return families;
  }

 private:
  const std::function<ControllerSnapshot()> snapshot_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeControllerMetrics(std::function<ControllerSnapshot()> snapshot) {
  return std::make_shared<ControllerMetrics>(std::move(snapshot));
}

}  // namespace lockstep
