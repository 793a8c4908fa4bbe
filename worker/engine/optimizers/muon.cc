// Muon (Jordan et al. 2024), as torch.optim.Muon: the hidden matrices' momentum is made orthogonal before it
// is applied; vectors, embeddings and the output layer are AdamW's.
#include "kernels/muon.h"

#include <algorithm>

#include "kernels/combine.h"
#include "worker/engine/optimizers/flat_optimizer.h"
#include "worker/engine/optimizers/muon_rule.h"
#include "worker/engine/optimizers/newton_schulz.h"
#include "worker/engine/optimizers/optimizers.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

class Muon final : public FlatOptimizer {
 public:
  Muon(const v1::TrainSpec& spec, const Model& model, const Settings& settings, Team* team)
      : FlatOptimizer(spec, model, MuonRule(spec.optimizer().muon()).LayoutFor(model, settings), team),
        rule_(spec.optimizer().muon()),
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
  void Prepare(int64_t step, double learning_rate) override { rule_.Prepare(step, learning_rate); }

  void Update(const kernels::Clip& clip, const Piece& piece, float* gradient, float* weights) override {
    if (piece.treatment.kind == Treatment::kMatrix) {
      kernels::cpu::MuonMomentum(rule_.momentum(), clip, piece.size, gradient,
                                 momentum_.data() + piece.offset);
      return;
    }
    kernels::cpu::AdamUpdate(rule_.adamw().StepOf(piece.treatment), clip, piece.size, gradient,
                             first_.data() + piece.offset, second_.data() + piece.offset, weights);
  }

  bool has_finish() const override { return true; }

  void Finish(const Member& member, float* gradient, float* weights) override {
    for (const Matrix& matrix : matrices_) {
      const int64_t rows = matrix.parameter.shape[0], columns = matrix.parameter.shape[1];
      NewtonSchulz(member, rows, columns, gradient + matrix.parameter.offset, scratch_.data());
      const MuonRule::Move move = rule_.MoveOf(rows, columns, matrix.treatment);
      const Range share = member.Share(rows * columns, 16);
      if (share.empty()) continue;
      const int64_t at = matrix.parameter.offset + share.begin;
      kernels::cpu::Combine(share.end - share.begin, move.step, gradient + at, move.keep, weights + at);
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

  MuonRule rule_;
  ZeroedFloats momentum_, first_, second_, scratch_;
  std::vector<Matrix> matrices_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeMuon(const v1::TrainSpec& spec, const Model& model,
                                                    const Settings& settings, Team* team) {
  auto muon = std::make_unique<Muon>(spec, model, settings, team);
  if (muon->has_matrices()) return muon;
  return NoMatrixForMuon();
}

}  // namespace lockstep::engine
