// Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019).
#include "worker/engine/optimizers/adam_rule.h"
#include "worker/engine/optimizers/flat_optimizer.h"
#include "worker/engine/optimizers/optimizers.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

class Adam final : public FlatOptimizer {
 public:
  Adam(const v1::TrainSpec& spec, const Model& model, Layout layout, const AdamRule& rule, Team* team)
      : FlatOptimizer(spec, model, std::move(layout), team),
        rule_(rule),
        first_(model.flat_size()),
        second_(model.flat_size()) {}

  std::vector<State> state() override {
    return {{"exp_avg", first_.data(), layout_.trained}, {"exp_avg_sq", second_.data(), layout_.trained}};
  }

 protected:
  void Prepare(int64_t step, double learning_rate) override { rule_.Prepare(step, learning_rate); }

  void Update(const kernels::Clip& clip, const Piece& piece, float* gradient, float* weights) override {
    kernels::cpu::AdamUpdate(rule_.StepOf(piece.treatment), clip, piece.size, gradient,
                             first_.data() + piece.offset, second_.data() + piece.offset, weights);
  }

 private:
  AdamRule rule_;
  ZeroedFloats first_, second_;
};

}  // namespace

std::unique_ptr<Optimizer> MakeAdam(const v1::TrainSpec& spec, const Model& model, const Settings& settings,
                                    Team* team) {
  if (spec.optimizer().has_adam()) {
    const v1::AdamSpec& adam = spec.optimizer().adam();
    return std::make_unique<Adam>(spec, model, LayoutOf(model, settings, adam.weight_decay()),
                                  AdamRule(adam, false), team);
  }
  const v1::AdamWSpec& adamw = spec.optimizer().adamw();
  return std::make_unique<Adam>(spec, model, LayoutOf(model, settings, AdamWDecay(adamw)),
                                AdamRule(adamw, true), team);
}

}  // namespace lockstep::engine
