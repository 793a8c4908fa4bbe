// RMSProp's update on a GPU: kernels/rmsprop.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/rmsprop.h"

namespace lockstep::kernels::cuda {

// `buffer` may be null when step.momentum is 0.
Launched RmsPropUpdate(const RmsPropStep& step, const Clip& clip, int64_t count, const float* gradient,
                       float* squares, float* buffer, float* weights, Stream stream);

}  // namespace lockstep::kernels::cuda
