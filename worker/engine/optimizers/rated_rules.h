// What Lion, Adagrad and RMSprop make of their options, for the processor and for a GPU. `rate` is the
// step's, times the treatment's factor.
#pragma once

#include "kernels/adagrad.h"
#include "kernels/lion.h"
#include "kernels/rmsprop.h"
#include "worker/engine/optimizers/flat_optimizer.h"

namespace lockstep::engine {

class LionRule {
 public:
  explicit LionRule(const v1::LionSpec& spec)
      : beta1_(static_cast<float>(spec.has_beta1() ? spec.beta1() : 0.9)),
        beta2_(static_cast<float>(spec.has_beta2() ? spec.beta2() : 0.99)) {}
  kernels::LionStep StepOf(double rate, const Treatment& treatment) const {
    return {static_cast<float>(rate), beta1_, beta2_,
            static_cast<float>(1.0 - rate * treatment.weight_decay)};
  }

 private:
  const float beta1_, beta2_;
};

class AdagradRule {
 public:
  explicit AdagradRule(const v1::AdagradSpec& spec)
      : epsilon_(static_cast<float>(spec.has_epsilon() ? spec.epsilon() : 1e-10)) {}
  kernels::AdagradStep StepOf(double rate, const Treatment& treatment) const {
    return {static_cast<float>(rate), epsilon_, static_cast<float>(treatment.weight_decay)};
  }

 private:
  const float epsilon_;
};

class RmsPropRule {
 public:
  explicit RmsPropRule(const v1::RmsPropSpec& spec)
      : alpha_(static_cast<float>(spec.has_alpha() ? spec.alpha() : 0.99)),
        epsilon_(static_cast<float>(spec.has_epsilon() ? spec.epsilon() : 1e-8)),
        momentum_(static_cast<float>(spec.momentum())) {}
  bool has_momentum() const { return momentum_ != 0; }
  kernels::RmsPropStep StepOf(double rate, const Treatment& treatment) const {
    return {static_cast<float>(rate), alpha_, epsilon_, momentum_,
            static_cast<float>(treatment.weight_decay)};
  }

 private:
  const float alpha_, epsilon_, momentum_;
};

}  // namespace lockstep::engine
