// What all optimizers share: the flat buffers cut into pieces that the team divides, the loss's
// regularisation, the gradient's norm, the clip; in two passes over memory. Pieces are a function of the
// model and the spec alone, and each piece's squares are added in their order, so that no bit depends on the
// number of threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/clip.h"
#include "kernels/rounding.h"
#include "worker/engine/engine.h"
#include "worker/engine/optimizers/parameter_settings.h"
#include "worker/engine/team.h"

namespace lockstep::engine {

// How a stretch of the flat buffer is updated.
struct Treatment {
  enum Kind { kTrained, kMatrix, kStatistic, kFrozen } kind = kTrained;
  bool regularized = false;  // by l1 and l2
  double rate_factor = 1;
  double weight_decay = 0;  // the group's or the optimizer's
  double momentum = 0;      // of a statistic
  bool operator==(const Treatment&) const = default;
};

struct Piece {
  int64_t offset = 0, size = 0;
  Treatment treatment;
};

// What an optimizer wants to know of its parameters beforehand.
struct Layout {
  std::vector<Piece> pieces;           // in the order of the flat buffer; gaps join the parameter before them
  std::vector<int> trained, matrices;  // numbers of the parameters of each kind
  std::vector<Treatment> treatments;   // of each parameter
};

// `matrices`: treat hidden matrices as kMatrix; `weight_decay` and `matrix_decay` are the optimizer's.
Layout LayoutOf(const Model& model, const std::vector<ParameterSettings>& settings, double weight_decay,
                bool matrices = false, double matrix_decay = 0);

class FlatOptimizer : public Optimizer {
 public:
  // `team` (may be null) outlives this.
  FlatOptimizer(const v1::TrainSpec& spec, const Model& model, Layout layout, Team* team);

  float Apply(float* gradient, float* weights, int64_t step, double learning_rate) final;
  void KeepRounded(uint16_t* rounded, const kernels::Rounding& rounding) final {
    rounded_ = rounded;
    rounding_ = rounding;
  }
  void Round(const float* weights, int64_t step) final;

 protected:
  // The step's scalars, on the calling thread.
  virtual void Prepare(int64_t step, double learning_rate) = 0;
  // Updates weights[0, piece.size) and this optimizer's state from piece.offset on.
  virtual void Update(const kernels::Clip& clip, const Piece& piece, float* gradient, float* weights) = 0;
  // After all pieces and a barrier; every member calls it.
  virtual void Finish(const Member&, float* /*gradient*/, float* /*weights*/) {}
  virtual bool has_finish() const { return false; }

  const Layout layout_;
  Team* const team_;  // of this optimizer's own where none was given

 private:
  double Regularized(const Piece& piece, float* gradient, const float* weights) const;
  void RoundPiece(const Piece& piece, const float* weights) const;

  Team alone_;
  bool small_;  // too small to be worth waking others
  bool large_;  // more than any cache keeps until the next step
  const float l1_, l2_;
  const double norm_;            // 0: none
  const float limit_;            // 0: none
  std::vector<double> squares_;  // of each piece
  uint16_t* rounded_ = nullptr;
  kernels::Rounding rounding_;  // of the step at work
  float result_ = 0;
};

}  // namespace lockstep::engine
