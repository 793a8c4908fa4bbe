#include "coordinator/tracking/mlflow_answers.h"

#include <nlohmann/json.hpp>

namespace lockstep {
namespace {

using Json = nlohmann::json;

// int64 is a string in proto's JSON; MLflow writes both.
int64_t IntegerAt(const Json& object, const char* name) {
  int64_t number = 0;
  if (!object.is_object() || !object.contains(name)) return 0;
  const Json& value = object[name];
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_string() && absl::SimpleAtoi(value.get<std::string>(), &number)) return number;
  return 0;
}

absl::Status NoAnswer(const std::string& body) {
  return absl::UnavailableError(absl::StrCat("this is no answer of MLflow's: ", body.substr(0, 200)));
}

// nullptr: there is no such text.
const Json* TextIn(const Json& value, const std::vector<const char*>& path) {
  const Json* at = &value;
  for (const char* name : path) {
    if (!at->is_object() || !at->contains(name)) return nullptr;
    at = &(*at)[name];
  }
  return at->is_string() ? at : nullptr;
}

}  // namespace

absl::StatusOr<std::string> MlflowText(const std::string& body, const std::vector<const char*>& path) {
  const Json answer = Json::parse(body, nullptr, false);
  const Json* text = TextIn(answer, path);
  if (text == nullptr) return NoAnswer(body);
  return text->get<std::string>();
}

absl::StatusOr<std::optional<std::string>> MlflowFirstRun(const std::string& body) {
  const Json answer = Json::parse(body, nullptr, false);
  if (!answer.is_object()) return NoAnswer(body);
  if (!answer.contains("runs") || answer["runs"].empty()) return std::nullopt;
  if (!answer["runs"].is_array()) return NoAnswer(body);
  const Json* run = TextIn(answer["runs"][0], {"info", "run_id"});
  if (run == nullptr) return NoAnswer(body);
  return run->get<std::string>();
}

absl::StatusOr<MlflowPage> MlflowHistoryPage(const std::string& body) {
  const Json answer = Json::parse(body, nullptr, false);
  if (!answer.is_object()) return NoAnswer(body);
  MlflowPage page;
  if (const Json* next = TextIn(answer, {"next_page_token"})) page.next = next->get<std::string>();
  if (!answer.contains("metrics")) return page;
  if (!answer["metrics"].is_array()) return NoAnswer(body);
  for (const Json& metric : answer["metrics"]) {
    page.points.emplace(IntegerAt(metric, "step"), IntegerAt(metric, "timestamp"));
  }
  return page;
}

absl::Status MlflowError(const std::string& path, int status, const std::string& body) {
  const Json answer = Json::parse(body, nullptr, false);
  const Json* code = TextIn(answer, {"error_code"});
  const Json* message = TextIn(answer, {"message"});
  const std::string name = code == nullptr ? "" : code->get<std::string>();
  const std::string said =
      absl::StrCat("MLflow ", path, ": ", status, " ", name, " ",
                   (message == nullptr ? body : message->get<std::string>()).substr(0, 300));
  if (name == "RESOURCE_DOES_NOT_EXIST") return absl::NotFoundError(said);
  if (name == "RESOURCE_ALREADY_EXISTS") return absl::AlreadyExistsError(said);
  if (status == 400 && !name.empty() && name != "TEMPORARILY_UNAVAILABLE") {
    return absl::InvalidArgumentError(said);
  }
  return absl::UnavailableError(said);
}

}  // namespace lockstep
