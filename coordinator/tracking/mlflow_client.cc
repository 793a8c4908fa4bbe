#include "coordinator/tracking/mlflow_client.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/strip.h"
#include "coordinator/tracking/mlflow_answers.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string UserPassword() {
  const std::string user = Environment("MLFLOW_TRACKING_USERNAME");
  return user.empty() ? "" : absl::StrCat(user, ":", Environment("MLFLOW_TRACKING_PASSWORD"));
}

// Proto's JSON has words for what JSON has no number for.
Json Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

MlflowClient::MlflowClient(const std::string& url)
    : base_(absl::StrCat(absl::StripSuffix(url, "/"), "/api/2.0/mlflow/")),
      headers_({"Content-Type: application/json"}),
      http_({.ca_file = Environment("MLFLOW_TRACKING_SERVER_CERT_PATH"), .user_password = UserPassword()}) {
  const std::string token = Environment("MLFLOW_TRACKING_TOKEN");
  if (!token.empty()) headers_.push_back(absl::StrCat("Authorization: Bearer ", token));
}

absl::StatusOr<std::string> MlflowClient::Call(const std::string& method, const std::string& path,
                                               const std::string& body) {
  ASSIGN_OR_RETURN(HttpClient::Response response,
                   http_.Do({.method = method, .url = base_ + path, .body = body, .headers = headers_}));
  if (response.status == 200) return std::move(response.body);
  return MlflowError(path.substr(0, path.find('?')), response.status, response.body);
}

absl::StatusOr<std::string> MlflowClient::ExperimentId(const std::string& name) {
  const auto get = [&] {
    return Call("GET", absl::StrCat("experiments/get-by-name?experiment_name=", UrlEncode(name)), "");
  };
  auto found = get();
  if (absl::IsNotFound(found.status())) {
    const auto made = Call("POST", "experiments/create", Dump({{"name", name}}));
    if (made.ok()) return MlflowText(*made, {"experiment_id"});
    if (!absl::IsAlreadyExists(made.status())) return made.status();
    found = get();  // somebody else was faster, or our answer was lost
  }
  RETURN_IF_ERROR(found.status());
  return MlflowText(*found, {"experiment", "experiment_id"});
}

absl::StatusOr<std::optional<std::string>> MlflowClient::FindRun(const std::string& experiment,
                                                                 const std::string& tag,
                                                                 const std::string& value) {
  const Json request = {{"experiment_ids", {experiment}},
                        {"filter", absl::StrCat("tags.`", tag, "` = '", value, "'")},
                        {"max_results", 1}};
  ASSIGN_OR_RETURN(const std::string body, Call("POST", "runs/search", Dump(request)));
  return MlflowFirstRun(body);
}

absl::StatusOr<std::string> MlflowClient::CreateRun(const std::string& experiment, const std::string& name,
                                                    absl::Time start, const MlflowTexts& tags) {
  Json request = {{"experiment_id", experiment},
                  {"run_name", name},
                  {"start_time", absl::ToUnixMillis(start)},
                  {"tags", Json::array()}};
  for (const auto& [key, value] : tags) request["tags"].push_back({{"key", key}, {"value", value}});
  ASSIGN_OR_RETURN(const std::string body, Call("POST", "runs/create", Dump(request)));
  return MlflowText(body, {"run", "info", "run_id"});
}

absl::Status MlflowClient::LogMetrics(const std::string& run, const std::vector<MlflowMetric>& metrics) {
  Json list = Json::array();
  for (const MlflowMetric& metric : metrics) {
    list.push_back({{"key", metric.key},
                    {"value", Number(metric.value)},
                    {"timestamp", metric.timestamp_ms},
                    {"step", metric.step}});
  }
  return Call("POST", "runs/log-batch", Dump({{"run_id", run}, {"metrics", std::move(list)}})).status();
}

absl::Status MlflowClient::LogParams(const std::string& run, const MlflowTexts& params) {
  Json list = Json::array();
  for (const auto& [key, value] : params) list.push_back({{"key", key}, {"value", value}});
  return Call("POST", "runs/log-batch", Dump({{"run_id", run}, {"params", std::move(list)}})).status();
}

absl::StatusOr<std::set<std::pair<int64_t, int64_t>>> MlflowClient::History(const std::string& run,
                                                                            const std::string& key) {
  std::set<std::pair<int64_t, int64_t>> history;
  const std::string first = absl::StrCat("metrics/get-history?run_id=", UrlEncode(run),
                                         "&metric_key=", UrlEncode(key), "&max_results=25000");
  std::string path = first;
  for (std::string token;;) {
    ASSIGN_OR_RETURN(const std::string body, Call("GET", path, ""));
    ASSIGN_OR_RETURN(MlflowPage page, MlflowHistoryPage(body));
    history.merge(page.points);
    if (page.next.empty()) return history;
    if (page.next == token) return absl::UnavailableError("MLflow's history of a metric does not end");
    token = std::move(page.next);
    path = absl::StrCat(first, "&page_token=", UrlEncode(token));
  }
}

absl::Status MlflowClient::UpdateRun(const std::string& run, const std::string& status, absl::Time end) {
  Json request = {{"run_id", run}, {"status", status}};
  if (status != "RUNNING") request["end_time"] = absl::ToUnixMillis(end);
  return Call("POST", "runs/update", Dump(request)).status();
}

}  // namespace lockstep
