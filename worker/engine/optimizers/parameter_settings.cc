#include "worker/engine/optimizers/parameter_settings.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/glob.h"
#include "common/spec/spec.h"

namespace lockstep::engine {
namespace {

std::string Names(const std::vector<std::string>& names) {
  constexpr size_t kShown = 20;
  if (names.size() <= kShown) return absl::StrJoin(names, ", ");
  return absl::StrCat(absl::StrJoin(names.begin(), names.begin() + kShown, ", "), ", ... (", names.size(),
                      " parameters)");
}

absl::Status MatchesNothing(const std::string& field, const std::string& pattern, const Model& model) {
  std::vector<std::string> names;
  for (const Parameter& parameter : model.parameters()) names.push_back(parameter.name);
  std::string plain = pattern;
  plain.erase(std::remove_if(plain.begin(), plain.end(), [](char c) { return c == '*' || c == '?'; }),
              plain.end());
  const std::string nearest = Nearest(plain, names);
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": no parameter's name matches '", pattern, "'",
                   nearest.empty() ? "." : absl::StrCat("; did you mean '", nearest, "'?"),
                   " The model's parameters are ", Names(names)));
}

}  // namespace

absl::StatusOr<std::vector<ParameterSettings>> SettingsOf(const v1::TrainSpec& spec, const Model& model) {
  const std::vector<Parameter>& parameters = model.parameters();
  std::vector<ParameterSettings> settings(parameters.size());
  std::vector<bool> grouped(parameters.size(), false);
  for (int g = 0; g < spec.groups_size(); ++g) {
    const v1::ParameterGroup& group = spec.groups(g);
    bool matched = false;
    for (size_t p = 0; p < parameters.size(); ++p) {
      if (!MatchesGlob(group.pattern(), parameters[p].name)) continue;
      matched = true;
      if (grouped[p]) continue;
      grouped[p] = true;
      settings[p].rate_factor = group.has_learning_rate_factor() ? group.learning_rate_factor() : 1.0;
      if (group.has_weight_decay()) settings[p].weight_decay = group.weight_decay();
    }
    if (!matched)
      return MatchesNothing(absl::StrCat("train.groups[", g, "].pattern"), group.pattern(), model);
  }
  for (int f = 0; f < spec.freeze_size(); ++f) {
    bool matched = false;
    for (size_t p = 0; p < parameters.size(); ++p) {
      if (!MatchesGlob(spec.freeze(f), parameters[p].name)) continue;
      matched = settings[p].frozen = true;
    }
    if (!matched) return MatchesNothing(absl::StrCat("train.freeze[", f, "]"), spec.freeze(f), model);
  }
  for (size_t p = 0; p < parameters.size(); ++p) {
    if (parameters[p].kind == Parameter::kWeight && !settings[p].frozen) return settings;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("train.freeze: [", absl::StrJoin(spec.freeze(), ", "),
                   "] match every parameter of the model; leave at least one to be trained"));
}

}  // namespace lockstep::engine
