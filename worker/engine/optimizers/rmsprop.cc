// RMSProp (Hinton 2012), as PyTorch has it.
#include "kernels/rmsprop.h"

#include "worker/engine/optimizers/flat_optimizer.h"
#include "worker/engine/optimizers/optimizers.h"
#include "worker/engine/optimizers/rated_rules.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

class RmsProp final : public FlatOptimizer {
 public:
  RmsProp(const v1::TrainSpec& spec, const Model& model, const Settings& settings, Team* team)
      : FlatOptimizer(spec, model, LayoutOf(model, settings, spec.optimizer().rmsprop().weight_decay()),
                      team),
        rule_(spec.optimizer().rmsprop()),
        squares_(model.flat_size()),
        buffer_(rule_.has_momentum() ? model.flat_size() : 0) {}

  std::vector<State> state() override {
    std::vector<State> states = {{"square_avg", squares_.data(), layout_.trained}};
    if (rule_.has_momentum()) states.push_back({"momentum", buffer_.data(), layout_.trained});
    return states;
  }

 protected:
  void Prepare(int64_t, double learning_rate) override { rate_ = learning_rate; }

  void Update(const kernels::Clip& clip, const Piece& piece, float* gradient, float* weights) override {
    const double rate = rate_ * piece.treatment.rate_factor;
    kernels::cpu::RmsPropUpdate(rule_.StepOf(rate, piece.treatment), clip, piece.size, gradient,
                                squares_.data() + piece.offset,
                                rule_.has_momentum() ? buffer_.data() + piece.offset : nullptr, weights);
  }

 private:
  const RmsPropRule rule_;
  ZeroedFloats squares_, buffer_;
  double rate_ = 0;
};

}  // namespace

std::unique_ptr<Optimizer> MakeRmsProp(const v1::TrainSpec& spec, const Model& model,
                                       const Settings& settings, Team* team) {
  return std::make_unique<RmsProp>(spec, model, settings, team);
}

}  // namespace lockstep::engine
