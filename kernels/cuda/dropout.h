// Dropout on a GPU: kernels/dropout.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/dropout.h"

namespace lockstep::kernels::cuda {

// `step` is the device's and takes the place of key.step, so that a captured launch draws another mask each
// time.
Launched DropoutForward(const DropoutKey& key, const int64_t* step, double p, int64_t rows, int64_t width,
                        const float* x, float* y, uint8_t* mask, Stream stream);
Launched DropoutBackward(double p, int64_t count, const uint8_t* mask, const float* dy, float* dx,
                         Stream stream);

}  // namespace lockstep::kernels::cuda
