// The calls of MLflow's REST API (2.0) that we need. Contracts:
// https://mlflow.org/docs/latest/rest-api.html.
//
// Errors: INVALID_ARGUMENT and NOT_FOUND: MLflow itself said so. Any other: it could not be asked, or cannot
// answer now; whether it did what it was asked is not known.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/http/http_client.h"

namespace lockstep {

struct MlflowMetric {
  std::string key;
  double value = 0;
  int64_t timestamp_ms = 0;
  int64_t step = 0;
};

using MlflowTexts = std::vector<std::pair<std::string, std::string>>;

class MlflowClient {
 public:
  // `url`: of the tracking server, "http://host:5000". User and password, or a token, come from the
  // environment as MLflow's own clients take them: MLFLOW_TRACKING_USERNAME, ..._PASSWORD, ..._TOKEN.
  explicit MlflowClient(const std::string& url);

  // Makes it if there is none.
  absl::StatusOr<std::string> ExperimentId(const std::string& name);
  // The run of the experiment with this tag; nothing: there is none.
  absl::StatusOr<std::optional<std::string>> FindRun(const std::string& experiment, const std::string& tag,
                                                     const std::string& value);
  absl::StatusOr<std::string> CreateRun(const std::string& experiment, const std::string& name,
                                        absl::Time start, const MlflowTexts& tags);
  // At most 1,000 metrics.
  absl::Status LogMetrics(const std::string& run, const std::vector<MlflowMetric>& metrics);
  // At most 100. One that stands there with another value is INVALID_ARGUMENT.
  absl::Status LogParams(const std::string& run, const MlflowTexts& params);
  // (step, timestamp) of all that the run has of this metric.
  absl::StatusOr<std::set<std::pair<int64_t, int64_t>>> History(const std::string& run,
                                                                const std::string& key);
  // "RUNNING", "FINISHED", "FAILED" or "KILLED"; `end` is left out of a running one.
  absl::Status UpdateRun(const std::string& run, const std::string& status, absl::Time end);

  void Stop() { http_.Stop(); }

 private:
  // JSON in, JSON out.
  absl::StatusOr<std::string> Call(const std::string& method, const std::string& path,
                                   const std::string& body);

  const std::string base_;
  std::vector<std::string> headers_;
  HttpClient http_;
};

}  // namespace lockstep
