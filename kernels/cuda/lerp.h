// An average's step on a GPU: kernels/lerp.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/lerp.h"

namespace lockstep::kernels::cuda {

Launched Lerp(int64_t count, float share, const float* x, float* y, Stream stream);

}  // namespace lockstep::kernels::cuda
