// Lion (Chen et al. 2023).
#include "kernels/lion.h"

#include "worker/engine/optimizers/flat_optimizer.h"
#include "worker/engine/optimizers/optimizers.h"
#include "worker/engine/optimizers/rated_rules.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

class Lion final : public FlatOptimizer {
 public:
  Lion(const v1::TrainSpec& spec, const Model& model, const Settings& settings, Team* team)
      : FlatOptimizer(spec, model, LayoutOf(model, settings, spec.optimizer().lion().weight_decay()), team),
        rule_(spec.optimizer().lion()),
        momentum_(model.flat_size()) {}

  std::vector<State> state() override { return {{"exp_avg", momentum_.data(), layout_.trained}}; }

 protected:
  void Prepare(int64_t, double learning_rate) override { rate_ = learning_rate; }

  void Update(const kernels::Clip& clip, const Piece& piece, float* gradient, float* weights) override {
    const double rate = rate_ * piece.treatment.rate_factor;
    kernels::cpu::LionUpdate(rule_.StepOf(rate, piece.treatment), clip, piece.size, gradient,
                             momentum_.data() + piece.offset, weights);
  }

 private:
  const LionRule rule_;
  ZeroedFloats momentum_;
  double rate_ = 0;
};

}  // namespace

std::unique_ptr<Optimizer> MakeLion(const v1::TrainSpec& spec, const Model& model, const Settings& settings,
                                    Team* team) {
  return std::make_unique<Lion>(spec, model, settings, team);
}

}  // namespace lockstep::engine
