// Adam's and AdamW's rule as numbers: shared by the optimizers of those names and by Muon, which leaves to
// AdamW what is no hidden matrix.
#pragma once

#include <cmath>

#include "kernels/update.h"
#include "lockstep/v1/job_spec.pb.h"
#include "worker/engine/optimizers/flat_optimizer.h"

namespace lockstep::engine {

class AdamRule {
 public:
  template <class Spec>  // AdamSpec or AdamWSpec
  AdamRule(const Spec& spec, bool decoupled)
      : beta1_(spec.has_beta1() ? spec.beta1() : 0.9),
        beta2_(spec.has_beta2() ? spec.beta2() : 0.999),
        epsilon_(spec.has_epsilon() ? spec.epsilon() : 1e-8),
        decoupled_(decoupled) {}

  // `step` counts from 1.
  void Prepare(int64_t step, double learning_rate) {
    const double t = static_cast<double>(step);
    rate_ = learning_rate;
    correction1_ = 1.0 - std::pow(beta1_, t);
    root2_ = 1.0 / std::sqrt(1.0 - std::pow(beta2_, t));
  }

  kernels::AdamStep StepOf(const Treatment& treatment) const {
    const double rate = rate_ * treatment.rate_factor;
    kernels::AdamStep step;
    step.beta1 = static_cast<float>(beta1_);
    step.beta2 = static_cast<float>(beta2_);
    step.rate1 = static_cast<float>(rate / correction1_);
    step.root2 = static_cast<float>(root2_);
    step.epsilon = static_cast<float>(epsilon_);
    step.decay = decoupled_ ? 0.0f : static_cast<float>(treatment.weight_decay);
    step.keep = decoupled_ ? static_cast<float>(1.0 - rate * treatment.weight_decay) : 1.0f;
    return step;
  }

 private:
  const double beta1_, beta2_, epsilon_;
  const bool decoupled_;
  double rate_ = 0, correction1_ = 1, root2_ = 1;
};

inline double AdamWDecay(const v1::AdamWSpec& spec) {
  return spec.has_weight_decay() ? spec.weight_decay() : 0.01;
}

}  // namespace lockstep::engine
