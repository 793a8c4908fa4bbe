#include "coordinator/http/job_metrics.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/base/proto_time.h"
#include "common/metrics/families.h"
#include "coordinator/http/declarations.h"
#include "coordinator/jobs/job_time.h"

namespace lockstep {
namespace {

double UnixSeconds(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + static_cast<double>(time.nanos()) / 1e9;
}

std::string StateLabel(v1::JobState state) {
  constexpr size_t kPrefix = sizeof("JOB_STATE_") - 1;
  return absl::AsciiStrToLower(v1::JobState_Name(state).substr(kPrefix));
}

void AddKinds(prometheus::MetricFamily* family, const v1::DeviceTime& time, const std::string& job) {
  for (const auto& [kind, seconds] : SecondsByKind(time)) {
    AddSample(family, seconds, {{"job", job}, {"kind", kind}});
  }
}

class JobMetrics : public prometheus::Collectable {
 public:
  explicit JobMetrics(Store* store) : store_(store) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const std::vector<v1::JobState> active = {v1::JOB_STATE_STARTING, v1::JOB_STATE_RUNNING,
                                              v1::JOB_STATE_RECOVERING};
    const auto jobs = store_->ListJobs({.states = active}, "", kMostJobsScraped);
    const auto checkpoints = store_->NewestCheckpoints(active);
    if (!jobs.ok() || !checkpoints.ok()) return {};
    std::map<std::string, double> written;
    for (const v1::Checkpoint& newest : *checkpoints)
      written[newest.job_id()] = UnixSeconds(newest.written_at());
    auto info = MakeFamily(kJobInfo);
    auto start = MakeFamily(kJobStart);
    auto step = MakeFamily(kJobStep);
    auto steps = MakeFamily(kJobSteps);
    auto epoch = MakeFamily(kJobEpoch);
    auto samples = MakeFamily(kJobSamples);
    auto train_loss = MakeFamily(kJobTrainLoss);
    auto validation_loss = MakeFamily(kJobValidationLoss);
    auto ranks = MakeFamily(kJobRanks);
    auto generation = MakeFamily(kJobGeneration);
    auto checkpoint = MakeFamily(kJobCheckpoint);
    auto seconds = MakeFamily(kJobDeviceSeconds);
    auto samples_total = MakeFamily(kJobSamplesTotal);
    auto tokens_total = MakeFamily(kJobTokensTotal);
    auto energy = MakeFamily(kJobEnergy);
    auto lost = MakeFamily(kJobLostSteps);
    auto restarts = MakeFamily(kJobRestarts);
    for (const StoredJob& stored : *jobs) {
      const v1::Job& job = stored.job;
      const v1::JobProgress& progress = job.progress();
      const MetricLabels label = {{"job", job.id()}};
      AddSample(&info, 1, {{"job", job.id()}, {"name", job.name()}, {"state", StateLabel(job.state())}});
      if (job.has_started_at()) AddSample(&start, UnixSeconds(job.started_at()), label);
      AddSample(&step, static_cast<double>(progress.step()), label);
      AddSample(&steps, static_cast<double>(progress.total_steps()), label);
      AddSample(&epoch, progress.epoch(), label);
      AddSample(&samples, progress.samples_per_second(), label);
      if (progress.step() > 0) AddSample(&train_loss, progress.train_loss(), label);
      if (progress.has_validation_loss()) AddSample(&validation_loss, progress.validation_loss(), label);
      AddSample(&ranks, job.members_size(), label);
      AddSample(&generation, static_cast<double>(job.generation()), label);
      if (const auto at = written.find(job.id()); at != written.end())
        AddSample(&checkpoint, at->second, label);
      const v1::DeviceTime total = TotalTime(stored.time);
      AddKinds(&seconds, total, job.id());
      AddSample(&samples_total, static_cast<double>(total.samples()), label);
      AddSample(&tokens_total, static_cast<double>(total.tokens()), label);
      if (total.joules() > 0) AddSample(&energy, total.joules(), label);
      AddSample(&lost, static_cast<double>(stored.time.lost_steps()), label);
      for (const auto& [reason, count] : stored.time.restarts())
        AddSample(&restarts, static_cast<double>(count), {{"job", job.id()}, {"reason", reason}});
    }
    std::vector<prometheus::MetricFamily> families;
    for (auto* family :
         {&info, &start, &step, &steps, &epoch, &samples, &train_loss, &validation_loss, &ranks, &generation,
          &checkpoint, &seconds, &samples_total, &tokens_total, &energy, &lost, &restarts}) {
      if (!family->metric.empty()) families.push_back(std::move(*family));
    }
    return families;
  }

 private:
  Store* const store_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeJobMetrics(Store* store) {
  return std::make_shared<JobMetrics>(store);
}

}  // namespace lockstep
