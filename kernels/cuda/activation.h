// Bias and activation on a GPU: kernels/activation.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

Launched BiasActivationForward(Activation f, int64_t rows, int64_t width, const float* bias, float* x,
                               float* y, Stream stream);
Launched ActivationBackward(Activation f, int64_t count, const float* saved, const float* dy, float* dx,
                            Stream stream);

}  // namespace lockstep::kernels::cuda
