// Adagrad's update on a GPU: kernels/adagrad.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/adagrad.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

Launched AdagradUpdate(const AdagradStep& step, const Clip& clip, int64_t count, const float* gradient,
                       float* sums, float* weights, Stream stream);

}  // namespace lockstep::kernels::cuda
