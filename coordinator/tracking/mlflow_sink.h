// One MLflow run for each job. The run carries the job's id as a tag and is looked for by it before one is
// made. Points are sent with the time at which they were stored, so that a repeated one is recognised; where
// it is not known whether a batch arrived (a crash, a lost answer), the run is read back first and only what
// is missing is sent.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator/tracking/mlflow_client.h"
#include "coordinator/tracking/sink.h"

namespace lockstep {

class MlflowSink : public TrackingSink {
 public:
  MlflowSink(const std::string& url, const std::string& experiment);

  static std::string Id(const std::string& url, const std::string& experiment) {
    return "mlflow " + url + " " + experiment;
  }
  std::string kind() const override { return "mlflow"; }
  std::string id() const override { return Id(url_, experiment_); }
  absl::Status Write(const v1::Job& job, const std::vector<PointChange>& points,
                     TrackedJob* tracked) override;
  absl::Status End(const v1::Job& job, TrackedJob* tracked) override;
  void Stop() override { client_.Stop(); }

 private:
  // tracked->state is then the run's id.
  absl::Status EnsureRun(const v1::Job& job, TrackedJob* tracked);
  absl::Status Send(const std::string& run, std::vector<MlflowMetric> metrics);
  absl::Status SendBatch(const std::string& run, std::vector<MlflowMetric> metrics);

  const std::string url_;
  const std::string experiment_;
  MlflowClient client_;
  std::string experiment_id_;      // empty: not known yet
  std::set<std::string> certain_;  // runs of which we know what they have
};

}  // namespace lockstep
