// Lion's update on a GPU: kernels/lion.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/lion.h"

namespace lockstep::kernels::cuda {

Launched LionUpdate(const LionStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                    float* weights, Stream stream);

}  // namespace lockstep::kernels::cuda
