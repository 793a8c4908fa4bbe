// A weighted sum on a GPU: kernels/combine.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/combine.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

Launched Combine(int64_t count, float a, const float* x, float b, float* y, Stream stream);

}  // namespace lockstep::kernels::cuda
