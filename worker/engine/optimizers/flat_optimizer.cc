#include "worker/engine/optimizers/flat_optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/gemm.h"
#include "kernels/lerp.h"
#include "kernels/update.h"

namespace lockstep::engine {
namespace {

// Small enough to balance threads, large enough to hide the call; part of the norm's bits.
constexpr int64_t kPiece = 65536;
// Below this, waking the team takes longer than the update.
constexpr int64_t kWorthSharing = 32768;
// From here on the weights, their gradient and the state do not stay in a second-level cache for a step.
constexpr int64_t kBeyondCaches = 1 << 20;

Treatment TreatmentOf(const Parameter& parameter, const ParameterSettings& settings, double weight_decay,
                      bool matrices, double matrix_decay) {
  Treatment treatment;
  if (settings.frozen) {
    treatment.kind = Treatment::kFrozen;
    return treatment;
  }
  if (parameter.kind == Parameter::kStatistic) {
    treatment.kind = Treatment::kStatistic;
    treatment.momentum = parameter.momentum;
    return treatment;
  }
  const bool matrix = matrices && parameter.hidden_matrix;
  treatment.kind = matrix ? Treatment::kMatrix : Treatment::kTrained;
  treatment.regularized = parameter.decays;
  treatment.rate_factor = settings.rate_factor;
  treatment.weight_decay = settings.weight_decay.value_or(!parameter.decays ? 0.0
                                                          : matrix          ? matrix_decay
                                                                            : weight_decay);
  return treatment;
}

}  // namespace

Layout LayoutOf(const Model& model, const std::vector<ParameterSettings>& settings, double weight_decay,
                bool matrices, double matrix_decay) {
  Layout layout;
  const std::vector<Parameter>& parameters = model.parameters();
  for (size_t p = 0; p < parameters.size(); ++p) {
    layout.treatments.push_back(
        TreatmentOf(parameters[p], settings[p], weight_decay, matrices, matrix_decay));
    if (layout.treatments[p].kind == Treatment::kTrained) layout.trained.push_back(static_cast<int>(p));
    if (layout.treatments[p].kind == Treatment::kMatrix) layout.matrices.push_back(static_cast<int>(p));
  }
  std::vector<size_t> order(parameters.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return parameters[a].offset < parameters[b].offset; });
  for (size_t i = 0; i < order.size(); ++i) {
    int64_t at = parameters[order[i]].offset;
    const int64_t end = i + 1 < order.size() ? parameters[order[i + 1]].offset : model.flat_size();
    const Treatment& treatment = layout.treatments[order[i]];
    while (at < end) {
      Piece* last = layout.pieces.empty() ? nullptr : &layout.pieces.back();
      if (last == nullptr || last->treatment != treatment || last->size == kPiece) {
        layout.pieces.push_back({at, 0, treatment});
        last = &layout.pieces.back();
      }
      const int64_t count = std::min(end - at, kPiece - last->size);
      last->size += count;
      at += count;
    }
  }
  return layout;
}

FlatOptimizer::FlatOptimizer(const v1::TrainSpec& spec, const Model& model, Layout layout, Team* team)
    : layout_(std::move(layout)),
      team_(team != nullptr ? team : &alone_),
      alone_(1),
      small_(model.flat_size() < kWorthSharing),
      large_(model.flat_size() >= kBeyondCaches),
      l1_(static_cast<float>(spec.l1())),
      l2_(static_cast<float>(spec.l2())),
      norm_(spec.gradient_clip().norm()),
      limit_(static_cast<float>(spec.gradient_clip().value())),
      squares_(layout_.pieces.size()) {}

double FlatOptimizer::Regularized(const Piece& piece, float* gradient, const float* weights) const {
  if (piece.treatment.kind == Treatment::kFrozen) return 0;
  const bool regularized = piece.treatment.regularized;
  const double squares =
      kernels::cpu::Regularize(piece.size, regularized ? l1_ : 0.0f, regularized ? l2_ : 0.0f,
                               weights + piece.offset, gradient + piece.offset);
  // A statistic is no gradient, but it must be finite as well.
  return piece.treatment.kind == Treatment::kStatistic && std::isfinite(squares) ? 0.0 : squares;
}

void FlatOptimizer::RoundPiece(const Piece& piece, const float* weights) const {
  const float* const from = weights + piece.offset;
  uint16_t* const to = rounded_ + piece.offset;
  if (rounding_.stochastic && piece.treatment.kind != Treatment::kFrozen) {
    kernels::cpu::RoundStochastically(rounding_, piece.offset, piece.size, from, to);
  } else {
    kernels::cpu::RoundToBf16(piece.size, from, to, large_);
  }
}

void FlatOptimizer::Round(const float* weights, int64_t step) {
  PrepareComputeThread();
  rounding_.step = step;
  (small_ ? &alone_ : team_)->Run([&](const Member& member) {
    const Range share = member.Share(static_cast<int64_t>(layout_.pieces.size()));
    for (int64_t p = share.begin; p < share.end; ++p) RoundPiece(layout_.pieces[p], weights);
  });
}

float FlatOptimizer::Apply(float* gradient, float* weights, int64_t step, double learning_rate) {
  PrepareComputeThread();
  Prepare(step, learning_rate);
  rounding_.step = step;
  const auto round = [&](const Piece& piece) {
    if (rounded_ != nullptr && piece.treatment.kind != Treatment::kFrozen) RoundPiece(piece, weights);
  };
  Team* const team = small_ ? &alone_ : team_;
  const auto work = [&](const Member& member) {
    const Range share = member.Share(static_cast<int64_t>(layout_.pieces.size()));
    for (int64_t p = share.begin; p < share.end; ++p) {
      squares_[p] = Regularized(layout_.pieces[p], gradient, weights);
    }
    member.Barrier();
    const float norm = static_cast<float>(std::sqrt(std::accumulate(squares_.begin(), squares_.end(), 0.0)));
    if (member.index == 0) result_ = norm;
    if (!std::isfinite(norm)) return;
    kernels::Clip clip;
    if (norm_ > 0 && norm > norm_) clip.scale = static_cast<float>(norm_ / norm);
    clip.limit = limit_;
    for (int64_t p = share.end; p-- > share.begin;) {  // backwards: the last pieces are still in the cache
      const Piece& piece = layout_.pieces[p];
      float* const g = gradient + piece.offset;
      float* const w = weights + piece.offset;
      if (piece.treatment.kind == Treatment::kStatistic) {
        kernels::cpu::Lerp(piece.size, static_cast<float>(piece.treatment.momentum), g, w);
      } else if (piece.treatment.kind != Treatment::kFrozen) {
        Update(clip, piece, g, w);
      }
      if (!has_finish()) round(piece);
    }
    if (!has_finish()) return;
    member.Barrier();
    Finish(member, gradient, weights);
    if (rounded_ == nullptr) return;
    member.Barrier();
    for (int64_t p = share.begin; p < share.end; ++p) round(layout_.pieces[p]);
  };
  team->Run(work);
  return result_;
}

}  // namespace lockstep::engine
