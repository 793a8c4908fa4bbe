// What the spec says of each parameter: its group's learning rate and weight decay, and whether it is trained
// at all.
#pragma once

#include <optional>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

struct ParameterSettings {
  bool frozen = false;
  double rate_factor = 1;
  std::optional<double> weight_decay;  // the group's; where absent, the optimizer's for what decays, else 0
};

// One for each of the model's parameters, in their order. The first group whose pattern matches applies;
// freezing goes before groups. INVALID_ARGUMENT: a pattern that matches no parameter (with the nearest
// names), or nothing is left to train.
absl::StatusOr<std::vector<ParameterSettings>> SettingsOf(const v1::TrainSpec& spec, const Model& model);

}  // namespace lockstep::engine
