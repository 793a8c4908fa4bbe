// Muon (Jordan et al. 2024), as torch.optim.Muon: the hidden matrices' momentum is made orthogonal before it
// is applied; vectors, embeddings and the output layer are AdamW's.
#include "kernels/muon.h"

#include <algorithm>
#include <cmath>

#include "kernels/combine.h"
#include "worker/engine/optimizers/adam_rule.h"
#include "worker/engine/optimizers/flat_optimizer.h"
#include "worker/engine/optimizers/newton_schulz.h"
#include "worker/engine/optimizers/optimizers.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

double Rate(const v1::MuonSpec& spec) { return spec.has_learning_rate() ? spec.learning_rate() : 0.02; }
double AdamWRate(const v1::MuonSpec& spec) {
  return spec.adamw().has_learning_rate() ? spec.adamw().learning_rate() : 1e-3;
}

class Muon final : public FlatOptimizer {
 public:
  Muon(const v1::TrainSpec& spec, const Model& model, const Settings& settings, Team* team)
      : FlatOptimizer(
            spec, model,
            LayoutOf(
                model, settings, AdamWDecay(spec.optimizer().muon().adamw()), true,
                spec.optimizer().muon().has_weight_decay() ? spec.optimizer().muon().weight_decay() : 0.1),
            team),
        adamw_(spec.optimizer().muon().adamw(), true),
        adamw_share_(AdamWRate(spec.optimizer().muon()) / Rate(spec.optimizer().muon())),
        momentum_factor_(static_cast<float>(
            spec.optimizer().muon().has_momentum() ? spec.optimizer().muon().momentum() : 0.95)),
        momentum_(model.flat_size()),
        first_(model.flat_size()),
        second_(model.flat_size()),
        scratch_(ScratchOf(model)) {
    for (const int p : layout_.matrices) matrices_.push_back({model.parameters()[p], layout_.treatments[p]});
  }

  bool has_matrices() const { return !matrices_.empty(); }

  std::vector<State> state() override {
    return {{"momentum", momentum_.data(), layout_.matrices},
            {"exp_avg", first_.data(), layout_.trained},
            {"exp_avg_sq", second_.data(), layout_.trained}};
  }

 protected:
  void Prepare(int64_t step, double learning_rate) override {
    rate_ = learning_rate;
    adamw_.Prepare(step, learning_rate * adamw_share_);
  }

  void Update(const kernels::Clip& clip, const Piece& piece, float* gradient, float* weights) override {
    if (piece.treatment.kind == Treatment::kMatrix) {
      kernels::cpu::MuonMomentum(momentum_factor_, clip, piece.size, gradient,
                                 momentum_.data() + piece.offset);
      return;
    }
    kernels::cpu::AdamUpdate(adamw_.StepOf(piece.treatment), clip, piece.size, gradient,
                             first_.data() + piece.offset, second_.data() + piece.offset, weights);
  }

  bool has_finish() const override { return true; }

  void Finish(const Member& member, float* gradient, float* weights) override {
    for (const Matrix& matrix : matrices_) {
      const int64_t rows = matrix.parameter.shape[0], columns = matrix.parameter.shape[1];
      NewtonSchulz(member, rows, columns, gradient + matrix.parameter.offset, scratch_.data());
      const double rate = rate_ * matrix.treatment.rate_factor;
      const double stretch =
          std::sqrt(std::max(1.0, static_cast<double>(rows) / static_cast<double>(columns)));
      const Range share = member.Share(rows * columns, 16);
      if (share.empty()) continue;
      const int64_t at = matrix.parameter.offset + share.begin;
      kernels::cpu::Combine(share.end - share.begin, static_cast<float>(-rate * stretch), gradient + at,
                            static_cast<float>(1.0 - rate * matrix.treatment.weight_decay), weights + at);
    }
  }

 private:
  struct Matrix {
    Parameter parameter;
    Treatment treatment;
  };

  int64_t ScratchOf(const Model& model) const {
    int64_t most = 0;
    for (const int p : layout_.matrices) {
      const std::vector<int64_t>& shape = model.parameters()[p].shape;
      most = std::max(most, NewtonSchulzScratch(shape[0], shape[1], team_->size()));
    }
    return most;
  }

  AdamRule adamw_;
  const double adamw_share_;  // AdamW's rate is this times the matrices'
  const float momentum_factor_;
  ZeroedFloats momentum_, first_, second_, scratch_;
  std::vector<Matrix> matrices_;
  double rate_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeMuon(const v1::TrainSpec& spec, const Model& model,
                                                    const Settings& settings, Team* team) {
  auto muon = std::make_unique<Muon>(spec, model, settings, team);
  if (muon->has_matrices()) return muon;
  return absl::InvalidArgumentError(
      "train.optimizer.muon: the model has no hidden matrix to train (a weight of two dimensions that is "
      "neither an "
      "embedding's nor the output layer's), which is what Muon is for; use adamw");
}

}  // namespace lockstep::engine
