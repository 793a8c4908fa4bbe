// Optimizer updates on a GPU: kernels/update.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/update.h"

namespace lockstep::kernels::cuda {

Launched SgdUpdate(const SgdStep& step, const Clip& clip, int64_t count, const float* gradient,
                   float* momentum, float* weights, Stream stream);
Launched AdamUpdate(const AdamStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                    float* v, float* weights, Stream stream);

}  // namespace lockstep::kernels::cuda
