#include "coordinator/tracking/spec_params.h"

#include <map>
#include <nlohmann/json.hpp>

#include "common/spec/message_text.h"

namespace lockstep {
namespace {

constexpr size_t kLongestKey = 250, kLongestValue = 500;

void Flatten(const nlohmann::json& value, const std::string& name,
             std::map<std::string, std::string>* params) {
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) {
      Flatten(inner, name.empty() ? key : absl::StrCat(name, ".", key), params);
    }
    return;
  }
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.size() > kLongestValue) text = absl::StrCat(text.substr(0, kLongestValue - 3), "...");
  if (text.empty()) return;
  params->emplace(name.substr(0, kLongestKey), std::move(text));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> SpecParams(const v1::JobSpec& spec) {
  std::map<std::string, std::string> params;
  const auto json = nlohmann::json::parse(MessageToJson(spec), nullptr, false);
  if (json.is_object()) Flatten(json, "", &params);
  return {params.begin(), params.end()};
}

}  // namespace lockstep
