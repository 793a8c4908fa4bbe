// Squared error on a GPU: kernels/squared_error.h says what is computed. A row's loss
// is summed in an order that depends on the width alone. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/squared_error.h"

namespace lockstep::kernels::cuda {

Launched SquaredError(int64_t rows, int64_t width, float scale, const float* targets, float* y, float* losses,
                      Stream stream);

}  // namespace lockstep::kernels::cuda
