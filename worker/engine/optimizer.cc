// MakeOptimizer: from the spec to one of optimizers/.
#include <memory>
#include <vector>

#include "worker/engine/engine.h"
#include "worker/engine/optimizers/optimizers.h"

namespace lockstep::engine {

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const v1::TrainSpec& spec, const Model& model,
                                                         Team* team) {
  ASSIGN_OR_RETURN(const Settings settings, SettingsOf(spec, model));
  switch (spec.optimizer().kind_case()) {
    case v1::OptimizerSpec::kSgd:
      if (spec.optimizer().sgd().nesterov() && spec.optimizer().sgd().momentum() <= 0) {
        return absl::InvalidArgumentError("train.optimizer.sgd: nesterov needs a momentum above 0");
      }
      return MakeSgd(spec, model, settings, team);
    case v1::OptimizerSpec::kAdagrad:
      return MakeAdagrad(spec, model, settings, team);
    case v1::OptimizerSpec::kRmsprop:
      return MakeRmsProp(spec, model, settings, team);
    case v1::OptimizerSpec::kLion:
      return MakeLion(spec, model, settings, team);
    case v1::OptimizerSpec::kMuon:
      return MakeMuon(spec, model, settings, team);
    case v1::OptimizerSpec::kAdam:
    case v1::OptimizerSpec::kAdamw:
    case v1::OptimizerSpec::KIND_NOT_SET:
      break;
  }
  return MakeAdam(spec, model, settings, team);
}

}  // namespace lockstep::engine
