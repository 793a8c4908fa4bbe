// RMSProp (Hinton 2012), as PyTorch has it.
#include "kernels/rmsprop.h"

#include "worker/engine/optimizers/flat_optimizer.h"
#include "worker/engine/optimizers/optimizers.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

class RmsProp final : public FlatOptimizer {
 public:
  RmsProp(const v1::TrainSpec& spec, const Model& model, const Settings& settings, Team* team)
      : FlatOptimizer(spec, model, LayoutOf(model, settings, spec.optimizer().rmsprop().weight_decay()),
                      team),
        options_(spec.optimizer().rmsprop()),
        squares_(model.flat_size()),
        buffer_(options_.momentum() != 0 ? model.flat_size() : 0) {}

  std::vector<State> state() override {
    std::vector<State> states = {{"square_avg", squares_.data(), layout_.trained}};
    if (options_.momentum() != 0) states.push_back({"momentum", buffer_.data(), layout_.trained});
    return states;
  }

 protected:
  void Prepare(int64_t, double learning_rate) override { rate_ = learning_rate; }

  void Update(const kernels::Clip& clip, const Piece& piece, float* gradient, float* weights) override {
    kernels::RmsPropStep step;
    step.rate = static_cast<float>(rate_ * piece.treatment.rate_factor);
    step.alpha = static_cast<float>(options_.has_alpha() ? options_.alpha() : 0.99);
    step.epsilon = static_cast<float>(options_.has_epsilon() ? options_.epsilon() : 1e-8);
    step.momentum = static_cast<float>(options_.momentum());
    step.decay = static_cast<float>(piece.treatment.weight_decay);
    kernels::cpu::RmsPropUpdate(step, clip, piece.size, gradient, squares_.data() + piece.offset,
                                options_.momentum() != 0 ? buffer_.data() + piece.offset : nullptr, weights);
  }

 private:
  const v1::RmsPropSpec options_;
  ZeroedFloats squares_, buffer_;
  double rate_ = 0;
};

}  // namespace

std::unique_ptr<Optimizer> MakeRmsProp(const v1::TrainSpec& spec, const Model& model,
                                       const Settings& settings, Team* team) {
  return std::make_unique<RmsProp>(spec, model, settings, team);
}

}  // namespace lockstep::engine
