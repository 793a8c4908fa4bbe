// SwiGLU on a GPU: kernels/swiglu.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/swiglu.h"

namespace lockstep::kernels::cuda {

Launched SwiGluForward(int64_t count, const float* gate, const float* up, float* y, Stream stream);
// dgate or dup may be null where nobody wants it. `add`: += instead of =.
Launched SwiGluBackward(int64_t count, const float* gate, const float* up, const float* dy, bool add,
                        float* dgate, float* dup, Stream stream);

}  // namespace lockstep::kernels::cuda
