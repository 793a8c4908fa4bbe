// Softmax cross-entropy over rows of logits, forward and backward fused and in place.
//
//   loss[r]      = log(sum_c exp(z[r][c] - max)) - (z[r][label] - max)
//   dz[r][c]     = (softmax(z[r])[c] - (c == label)) * scale
//   correct[r]   = 1 if the first largest logit is the label's, else 0
//
// Shapes: logits (rows, classes), overwritten with dz; labels, losses, correct (rows). Each row alone decides
// its bits: the sum of exponentials runs over 16 fixed lanes (class mod 16), which are then added pairwise. A
// NaN logit makes its row NaN, losses included. REQUIRES: 0 <= label < classes.
#pragma once

#include <cstdint>

#include "kernels/stream.h"

namespace lockstep::kernels {

namespace cpu {
void SoftmaxCrossEntropy(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* logits,
                         float* losses, float* correct);
}  // namespace cpu

namespace cuda {
absl::Status SoftmaxCrossEntropy(int64_t rows, int64_t classes, float scale, const int32_t* labels,
                                 float* logits, float* losses, float* correct, Stream stream);
}  // namespace cuda

}  // namespace lockstep::kernels
