// Rotary position embedding on a GPU: kernels/rope.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/rope.h"

namespace lockstep::kernels::cuda {

// `cosine` and `sine` are RopeTable's, on the device.
Launched RopeForward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* x,
                     Stream stream);
Launched RopeBackward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* dx,
                      Stream stream);

}  // namespace lockstep::kernels::cuda
