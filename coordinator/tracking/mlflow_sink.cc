#include "coordinator/tracking/mlflow_sink.h"

#include <algorithm>
#include <map>

#include "common/base/proto_time.h"
#include "common/base/version.h"
#include "common/spec/spec.h"
#include "coordinator/tracking/spec_params.h"

namespace lockstep {
namespace {

constexpr char kJobTag[] = "lockstep.job";
constexpr size_t kMostMetrics = 1000;  // MLflow's limits for one log-batch
constexpr size_t kMostParams = 100;

std::string RunStatus(v1::JobState state) {
  if (state == v1::JOB_STATE_SUCCEEDED) return "FINISHED";
  return state == v1::JOB_STATE_CANCELLED ? "KILLED" : "FAILED";
}

// Of a batch of a run: anything but "MLflow said no" may pass.
absl::Status OfRun(absl::Status status) {
  return absl::IsNotFound(status) ? absl::InvalidArgumentError(status.message()) : status;
}

// Of what is not about one job: never a reason to refuse it.
absl::Status OfServer(const absl::Status& status) {
  if (status.ok() || absl::IsCancelled(status)) return status;
  return absl::UnavailableError(status.message());
}

}  // namespace

MlflowSink::MlflowSink(const std::string& url, const std::string& experiment)
    : url_(url), experiment_(experiment), client_(url) {}

absl::Status MlflowSink::EnsureRun(const v1::Job& job, TrackedJob* tracked) {
  if (!tracked->state.empty()) return absl::OkStatus();
  if (experiment_id_.empty()) {
    const auto id = client_.ExperimentId(experiment_);
    RETURN_IF_ERROR(OfServer(id.status()));
    experiment_id_ = *id;
  }
  auto found = client_.FindRun(experiment_id_, kJobTag, job.id());
  RETURN_IF_ERROR(OfServer(found.status()));
  std::string run;
  if (found->has_value()) {
    run = **found;
  } else {
    const MlflowTexts tags = {{kJobTag, job.id()},
                              {"lockstep.spec_hash", SpecHash(job.spec())},
                              {"lockstep.version", Version()},
                              {"lockstep.dataset", job.dataset_version()},
                              {"mlflow.source.name", "lockstep"}};
    const auto made = client_.CreateRun(experiment_id_, job.name(), FromProto(job.submitted_at()), tags);
    if (!made.ok()) experiment_id_.clear();  // it may have been deleted
    RETURN_IF_ERROR(OfServer(made.status()));
    run = *made;
    certain_.insert(run);
  }
  const MlflowTexts params = SpecParams(job.spec());
  for (size_t at = 0; at < params.size(); at += kMostParams) {
    const size_t end = std::min(at + kMostParams, params.size());
    RETURN_IF_ERROR(OfRun(client_.LogParams(run, {params.begin() + at, params.begin() + end})));
  }
  tracked->state = run;
  return absl::OkStatus();
}

absl::Status MlflowSink::Write(const v1::Job& job, const std::vector<PointChange>& points,
                               TrackedJob* tracked) {
  RETURN_IF_ERROR(EnsureRun(job, tracked));
  if (tracked->ended) {
    RETURN_IF_ERROR(OfRun(client_.UpdateRun(tracked->state, "RUNNING", absl::InfiniteFuture())));
  }
  std::vector<MlflowMetric> metrics;
  for (const PointChange& change : points) {
    const std::map<std::string, double> values(change.point.values().begin(), change.point.values().end());
    for (const auto& [name, value] : values) {
      metrics.push_back({name, value, absl::ToUnixMillis(change.time), change.point.step()});
    }
  }
  return Send(tracked->state, std::move(metrics));
}

absl::Status MlflowSink::End(const v1::Job& job, TrackedJob* tracked) {
  RETURN_IF_ERROR(EnsureRun(job, tracked));
  const absl::Time end = FromProto(job.finished_at());
  const v1::MetricPoint last = FinalPoint(job);
  std::vector<MlflowMetric> metrics;
  for (const auto& [name, value] : last.values()) {
    metrics.push_back({name, value, absl::ToUnixMillis(end), last.step()});
  }
  RETURN_IF_ERROR(Send(tracked->state, std::move(metrics)));
  return OfRun(client_.UpdateRun(tracked->state, RunStatus(job.state()), end));
}

absl::Status MlflowSink::Send(const std::string& run, std::vector<MlflowMetric> metrics) {
  for (size_t at = 0; at < metrics.size(); at += kMostMetrics) {
    const size_t end = std::min(at + kMostMetrics, metrics.size());
    RETURN_IF_ERROR(SendBatch(run, {metrics.begin() + at, metrics.begin() + end}));
  }
  return absl::OkStatus();
}

absl::Status MlflowSink::SendBatch(const std::string& run, std::vector<MlflowMetric> metrics) {
  if (!certain_.contains(run)) {
    std::map<std::string, std::set<std::pair<int64_t, int64_t>>> there;
    for (const MlflowMetric& metric : metrics) {
      if (there.contains(metric.key)) continue;
      auto history = client_.History(run, metric.key);
      if (absl::IsNotFound(history.status())) history.emplace();  // a metric without points, to some versions
      RETURN_IF_ERROR(OfRun(history.status()));
      there.emplace(metric.key, std::move(*history));
    }
    std::erase_if(metrics, [&there](const MlflowMetric& metric) {
      return there[metric.key].contains({metric.step, metric.timestamp_ms});
    });
  }
  const absl::Status status = metrics.empty() ? absl::OkStatus() : client_.LogMetrics(run, metrics);
  if (status.ok()) {
    certain_.insert(run);
  } else {
    certain_.erase(run);
  }
  return OfRun(status);
}

}  // namespace lockstep
