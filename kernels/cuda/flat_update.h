// A step of an optimizer over all parameters at once, on a GPU: their flat buffers are cut into pieces of
// alike treatment, and each of these launches does all pieces. Nothing comes back to the host in between: the
// norm, the clip and the decision to skip a step that is not finite stay on the device.
//
//   FlatRegularize:  g += l1 sign(w) + l2 w of the pieces that want it; squares[piece] = the sum of g^2
//   FlatClip:        norm = sqrt(the sum of squares); FlatVerdict says what to do with the gradient
//   FlatSgd, ...:    kernels/update.h of trained pieces, w += share * (g - w) of statistics. Nothing where
//   the
//                    norm is not finite.
//
// A piece's squares and their sum are added in an order that depends on the pieces alone. Every pointer is
// device memory; a piece's floats start at a multiple of 4. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/adagrad.h"
#include "kernels/cuda/stream.h"
#include "kernels/lion.h"
#include "kernels/rmsprop.h"
#include "kernels/rounding.h"
#include "kernels/update.h"

namespace lockstep::kernels::cuda {

inline constexpr int64_t kFlatPiece = 4096;  // floats of a piece, at most: one block's work

struct FlatPiece {
  enum Kind : int { kTrained, kMatrix, kStatistic, kFrozen };  // matrices: Muon's
  int64_t offset = 0;
  int size = 0;
  Kind kind = kTrained;
  int step = 0;  // which of the update's steps is a trained piece's
  int regularized = 0;
  float share = 0;  // a statistic's momentum
};

struct FlatPieces {
  const FlatPiece* at = nullptr;
  int count = 0;
};

// The step of each treatment (FlatPiece::step), by value: nothing to stage, and no copy to wait for.
inline constexpr int kFlatTreatments = 16;
template <class Step>
struct FlatSteps {
  Step at[kFlatTreatments];
};

// Where each update leaves what it changed of the weights, rounded to bfloat16 (kernels/rounding.h): (as many
// as weights), or null. What is frozen is rounded to the nearest, and by FlatRound alone.
struct FlatRounded {
  uint16_t* data = nullptr;
  Rounding rounding;
};

struct FlatLimits {
  double norm = 0;  // 0: none
  float value = 0;  // 0: none
};

struct FlatVerdict {
  Clip clip;  // explicit
  float norm = 0;
  int finite = 0;
};

Launched FlatRegularize(const FlatPieces& pieces, float l1, float l2, const float* weights, float* gradient,
                        double* squares, Stream stream);
Launched FlatClip(const FlatPieces& pieces, const double* squares, const FlatLimits& limits,
                  FlatVerdict* verdict, Stream stream);
// `momentum` may be null when no step has one.
Launched FlatSgd(const FlatPieces& pieces, const FlatSteps<SgdStep>& steps, const FlatVerdict* verdict,
                 const float* gradient, float* momentum, float* weights, const FlatRounded& rounded,
                 Stream stream);
Launched FlatAdam(const FlatPieces& pieces, const FlatSteps<AdamStep>& steps, const FlatVerdict* verdict,
                  const float* gradient, float* m, float* v, float* weights, const FlatRounded& rounded,
                  Stream stream);
Launched FlatLion(const FlatPieces& pieces, const FlatSteps<LionStep>& steps, const FlatVerdict* verdict,
                  const float* gradient, float* m, float* weights, const FlatRounded& rounded, Stream stream);
Launched FlatAdagrad(const FlatPieces& pieces, const FlatSteps<AdagradStep>& steps,
                     const FlatVerdict* verdict, const float* gradient, float* sums, float* weights,
                     const FlatRounded& rounded, Stream stream);
// kernels/muon.h of matrices alone: the direction takes the gradient's place.
Launched FlatMuon(const FlatPieces& pieces, float momentum, const FlatVerdict* verdict, float* gradient,
                  float* buffer, Stream stream);
// w = keep * w + step * direction for `count` floats of a matrix, which begins at place `first`.
Launched FlatMove(int64_t first, int64_t count, float step, const float* direction, float keep,
                  const FlatVerdict* verdict, float* weights, const FlatRounded& rounded, Stream stream);
// All weights into rounded.data.
Launched FlatRound(const FlatPieces& pieces, const float* weights, const FlatRounded& rounded, Stream stream);
// x *= 1 / max(sqrt(squares), least)
Launched FlatNormalise(int64_t count, const double* squares, double least, float* x, Stream stream);
// `buffer` may be null when no step has a momentum.
Launched FlatRmsProp(const FlatPieces& pieces, const FlatSteps<RmsPropStep>& steps,
                     const FlatVerdict* verdict, const float* gradient, float* squares, float* buffer,
                     float* weights, const FlatRounded& rounded, Stream stream);

}  // namespace lockstep::kernels::cuda
