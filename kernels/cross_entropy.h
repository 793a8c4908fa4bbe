// Softmax cross-entropy over rows of logits, forward and backward fused and in place.
//
//   loss[r]      = log(sum_c exp(z[r][c] - max)) - (z[r][label] - max)
//   dz[r][c]     = (softmax(z[r])[c] - (c == label)) * scale
//   correct[r]   = 1 if the first largest logit is the label's, else 0
//
// With label smoothing s (Szegedy et al. 2016) the target is (1 - s) onehot + s / classes, so that
//
//   loss[r]      = log(sum_c exp(z[r][c] - max)) - (1 - s) (z[r][label] - max) - s / classes * sum_c (z[r][c]
//   - max)
//
// A label of -1 means that the row is ignored: loss, gradient and correct are 0.
//
// Shapes: logits (rows, classes), overwritten with dz; labels, losses, correct (rows). Each row alone decides
// its bits: on the CPU the sum of exponentials runs over 16 fixed lanes (class mod 16), which are then added
// pairwise. A NaN logit makes its row NaN, losses included. REQUIRES: -1 <= label < classes.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

namespace cpu {
void SoftmaxCrossEntropy(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* logits,
                         float* losses, float* correct, float smoothing = 0.0f);
}  // namespace cpu

}  // namespace lockstep::kernels
