#include "coordinator/http/controller_metrics.h"

#include <prometheus/metric_family.h>

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/metrics/families.h"
#include "coordinator/http/declarations.h"
#include "coordinator/scheduler/stragglers.h"

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

prometheus::MetricFamily StepSeconds(const std::vector<ControllerSnapshot::Rank>& ranks) {
  auto family = MakeFamily(kRankStep);
  family.metric.reserve(4 * ranks.size());
  for (const auto& rank : ranks) {
    const v1::StepTimes& times = rank.member.times();
    for (const auto& [kind, seconds] :
         {std::pair{"input", times.input()}, std::pair{"compute", times.compute()},
          std::pair{"communication", times.communication()}, std::pair{"checkpoint", times.checkpoint()}}) {
      AddSample(&family, seconds,
                {{"job", rank.job},
                 {"rank", std::to_string(rank.member.rank())},
                 {"worker", rank.member.worker()},
                 {"device", rank.member.device()},
                 {"kind", kind}});
    }
  }
  return family;
}

prometheus::MetricFamily Stragglers(const std::vector<ControllerSnapshot::Rank>& ranks) {
  auto family = MakeFamily(kRankStraggler);
  family.metric.reserve(ranks.size());
  for (const auto& rank : ranks) {
    AddSample(&family, rank.member.straggler().empty() ? 0 : 1,
              {{"job", rank.job},
               {"rank", std::to_string(rank.member.rank())},
               {"worker", rank.member.worker()},
               {"device", rank.member.device()}});
  }
  return family;
}

prometheus::MetricFamily StragglerRatios(const std::vector<ControllerSnapshot::Rank>& ranks) {
  std::map<std::string, std::vector<double>> own;  // by job
  for (const auto& rank : ranks) {
    const v1::StepTimes& times = rank.member.times();
    own[rank.job].push_back(times.input() + times.compute() + times.checkpoint());
  }
  auto family = MakeFamily(kJobStragglerRatio);
  for (auto& [job, seconds] : own) {
    if (seconds.size() < 2) continue;
    if (const double ratio = StragglerRatio(std::move(seconds)); ratio > 0)
      AddSample(&family, ratio, {{"job", job}});
  }
  return family;
}

prometheus::MetricFamily Waits(const QueueWaits& waits) {
  auto family = MakeFamily(kQueueWait);
  auto& histogram = family.metric.emplace_back().histogram;
  for (size_t i = 0; i < waits.counts.size(); ++i) {
    histogram.sample_count += static_cast<uint64_t>(waits.counts[i]);
    histogram.bucket.push_back({histogram.sample_count, i < QueueWaits::kBounds.size()
                                                            ? QueueWaits::kBounds[i]
                                                            : std::numeric_limits<double>::infinity()});
  }
  histogram.sample_sum = waits.sum;
  return family;
}

class ControllerMetrics : public prometheus::Collectable {
 public:
  explicit ControllerMetrics(std::function<ControllerSnapshot()> snapshot) : snapshot_(std::move(snapshot)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const ControllerSnapshot now = snapshot_();
    const auto number = [](int64_t value) { return static_cast<double>(value); };
    std::vector<prometheus::MetricFamily> families;
    families.push_back(
        ByState(MakeFamily(kJobs), *v1::JobState_descriptor(), "JOB_STATE_", now.jobs_by_state));
    families.push_back(One(MakeFamily(kQueueJobs), number(now.jobs_by_state[v1::JOB_STATE_QUEUED])));
    families.push_back(
        ByState(MakeFamily(kWorkers), *v1::WorkerState_descriptor(), "WORKER_STATE_", now.workers_by_state));
    families.push_back(One(MakeFamily(kDevices), number(now.devices_total)));
    families.push_back(One(MakeFamily(kDevicesBusy), number(now.devices_busy)));
    families.push_back(One(MakeFamily(kDevicesWanted), number(now.devices_wanted)));
    families.push_back(One(MakeFamily(kSubmits), number(now.submits_total)));
    families.push_back(One(MakeFamily(kSteps), number(now.steps_total)));
    families.push_back(One(MakeFamily(kCheckpoints), number(now.checkpoints_total)));
    families.push_back(One(MakeFamily(kCheckpointFailures), number(now.checkpoint_failures_total)));
    families.push_back(One(MakeFamily(kTrainerCrashes), number(now.trainer_crashes_total)));
    families.push_back(One(MakeFamily(kLastSchedule), now.last_schedule_seconds));
    families.push_back(Waits(now.queue_waits));
    if (auto ratios = StragglerRatios(now.ranks); !ratios.metric.empty())
      families.push_back(std::move(ratios));
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
