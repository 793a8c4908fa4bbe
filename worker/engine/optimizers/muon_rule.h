// What Muon makes of its options, for the processor and for a GPU.
#pragma once

#include <algorithm>
#include <cmath>

#include "common/base/status.h"
#include "worker/engine/optimizers/adam_rule.h"
#include "worker/engine/optimizers/flat_optimizer.h"

namespace lockstep::engine {

class MuonRule {
 public:
  explicit MuonRule(const v1::MuonSpec& spec)
      : adamw_(spec.adamw(), true),
        adamw_decay_(AdamWDecay(spec.adamw())),
        adamw_share_((spec.adamw().has_learning_rate() ? spec.adamw().learning_rate() : 1e-3) /
                     (spec.has_learning_rate() ? spec.learning_rate() : 0.02)),
        matrix_decay_(spec.has_weight_decay() ? spec.weight_decay() : 0.1),
        momentum_(static_cast<float>(spec.has_momentum() ? spec.momentum() : 0.95)) {}

  Layout LayoutFor(const Model& model, const std::vector<ParameterSettings>& settings) const {
    return LayoutOf(model, settings, adamw_decay_, true, matrix_decay_);
  }
  // `step` counts from 1.
  void Prepare(int64_t step, double learning_rate) {
    rate_ = learning_rate;
    adamw_.Prepare(step, learning_rate * adamw_share_);
  }
  const AdamRule& adamw() const { return adamw_; }
  float momentum() const { return momentum_; }

  // w = keep * w + step * the orthogonal direction.
  struct Move {
    float step, keep;
  };
  Move MoveOf(int64_t rows, int64_t columns, const Treatment& treatment) const {
    const double rate = rate_ * treatment.rate_factor;
    const double stretch = std::sqrt(std::max(1.0, static_cast<double>(rows) / static_cast<double>(columns)));
    return {static_cast<float>(-rate * stretch), static_cast<float>(1.0 - rate * treatment.weight_decay)};
  }

 private:
  AdamRule adamw_;
  double adamw_decay_;
  double adamw_share_;  // AdamW's rate is this times the matrices'
  double matrix_decay_;
  float momentum_;
  double rate_ = 0;
};

inline absl::Status NoMatrixForMuon() {
  return absl::InvalidArgumentError(
      "train.optimizer.muon: the model has no hidden matrix to train (a weight of two dimensions that is "
      "neither an embedding's nor the output layer's), which is what Muon is for; use adamw");
}

}  // namespace lockstep::engine
