// Adagrad (Duchi et al. 2011).
#include "kernels/adagrad.h"

#include "worker/engine/optimizers/flat_optimizer.h"
#include "worker/engine/optimizers/optimizers.h"
#include "worker/engine/optimizers/rated_rules.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

class Adagrad final : public FlatOptimizer {
 public:
  Adagrad(const v1::TrainSpec& spec, const Model& model, const Settings& settings, Team* team)
      : FlatOptimizer(spec, model, LayoutOf(model, settings, spec.optimizer().adagrad().weight_decay()),
                      team),
        rule_(spec.optimizer().adagrad()),
        sums_(model.flat_size()) {}

  std::vector<State> state() override { return {{"sum", sums_.data(), layout_.trained}}; }

 protected:
  void Prepare(int64_t, double learning_rate) override { rate_ = learning_rate; }

  void Update(const kernels::Clip& clip, const Piece& piece, float* gradient, float* weights) override {
    const double rate = rate_ * piece.treatment.rate_factor;
    kernels::cpu::AdagradUpdate(rule_.StepOf(rate, piece.treatment), clip, piece.size, gradient,
                                sums_.data() + piece.offset, weights);
  }

 private:
  const AdagradRule rule_;
  ZeroedFloats sums_;
  double rate_ = 0;
};

}  // namespace

std::unique_ptr<Optimizer> MakeAdagrad(const v1::TrainSpec& spec, const Model& model,
                                       const Settings& settings, Team* team) {
  return std::make_unique<Adagrad>(spec, model, settings, team);
}

}  // namespace lockstep::engine
