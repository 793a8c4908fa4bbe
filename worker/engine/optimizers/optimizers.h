// Makers of each optimizer, for MakeOptimizer. `spec.optimizer()` is of the maker's kind; absent fields have
// the defaults of job_spec.proto.
#pragma once

#include <memory>
#include <vector>

#include "worker/engine/engine.h"
#include "worker/engine/optimizers/parameter_settings.h"

namespace lockstep::engine {

using Settings = std::vector<ParameterSettings>;

std::unique_ptr<Optimizer> MakeSgd(const v1::TrainSpec& spec, const Model& model, const Settings& settings,
                                   Team* team);
std::unique_ptr<Optimizer> MakeAdam(const v1::TrainSpec& spec, const Model& model, const Settings& settings,
                                    Team* team);  // and AdamW
std::unique_ptr<Optimizer> MakeAdagrad(const v1::TrainSpec& spec, const Model& model,
                                       const Settings& settings, Team* team);
std::unique_ptr<Optimizer> MakeRmsProp(const v1::TrainSpec& spec, const Model& model,
                                       const Settings& settings, Team* team);
std::unique_ptr<Optimizer> MakeLion(const v1::TrainSpec& spec, const Model& model, const Settings& settings,
                                    Team* team);
// INVALID_ARGUMENT: the model has no hidden matrix to train.
absl::StatusOr<std::unique_ptr<Optimizer>> MakeMuon(const v1::TrainSpec& spec, const Model& model,
                                                    const Settings& settings, Team* team);

}  // namespace lockstep::engine
