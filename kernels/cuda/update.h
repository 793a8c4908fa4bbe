// Optimizer updates on a GPU: kernels/update.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/update.h"

namespace lockstep::kernels::cuda {

// `squares` (one double of the device) becomes the sum of g^2, in an order that depends on `count` alone.
// `scratch`: RegularizeScratch doubles.
int64_t RegularizeScratch(int64_t count);
Launched Regularize(int64_t count, float l1, float l2, const float* weights, float* gradient, double* squares,
                    double* scratch, Stream stream);

Launched SgdUpdate(const SgdStep& step, const Clip& clip, int64_t count, const float* gradient,
                   float* momentum, float* weights, Stream stream);
Launched AdamUpdate(const AdamStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                    float* v, float* weights, Stream stream);

}  // namespace lockstep::kernels::cuda
