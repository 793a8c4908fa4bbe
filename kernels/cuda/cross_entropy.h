// Softmax cross-entropy on a GPU: kernels/cross_entropy.h says what is computed; the order of the sums is
// another one, as fixed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cross_entropy.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

Launched SoftmaxCrossEntropy(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* logits,
                             float* losses, float* correct, float smoothing, Stream stream);

}  // namespace lockstep::kernels::cuda
