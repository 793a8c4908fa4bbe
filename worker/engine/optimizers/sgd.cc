// Stochastic gradient descent, with momentum (Nesterov's or not).
#include "kernels/update.h"
#include "worker/engine/optimizers/flat_optimizer.h"
#include "worker/engine/optimizers/optimizers.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

class Sgd final : public FlatOptimizer {
 public:
  Sgd(const v1::TrainSpec& spec, const Model& model, const Settings& settings, Team* team)
      : FlatOptimizer(spec, model, LayoutOf(model, settings, spec.optimizer().sgd().weight_decay()), team),
        momentum_factor_(static_cast<float>(spec.optimizer().sgd().momentum())),
        nesterov_(spec.optimizer().sgd().nesterov()),
        momentum_(momentum_factor_ != 0 ? model.flat_size() : 0) {}

  std::vector<State> state() override {
    if (momentum_factor_ == 0) return {};
    return {{"momentum", momentum_.data(), layout_.trained}};
  }

 protected:
  void Prepare(int64_t, double learning_rate) override { rate_ = learning_rate; }

  void Update(const kernels::Clip& clip, const Piece& piece, float* gradient, float* weights) override {
    kernels::SgdStep step;
    step.rate = static_cast<float>(rate_ * piece.treatment.rate_factor);
    step.momentum = momentum_factor_;
    step.nesterov = nesterov_;
    step.decay = static_cast<float>(piece.treatment.weight_decay);
    kernels::cpu::SgdUpdate(step, clip, piece.size, gradient,
                            momentum_factor_ != 0 ? momentum_.data() + piece.offset : nullptr, weights);
  }

 private:
  const float momentum_factor_;
  const bool nesterov_;
  ZeroedFloats momentum_;
  double rate_ = 0;
};

}  // namespace

std::unique_ptr<Optimizer> MakeSgd(const v1::TrainSpec& spec, const Model& model, const Settings& settings,
                                   Team* team) {
  return std::make_unique<Sgd>(spec, model, settings, team);
}

}  // namespace lockstep::engine
