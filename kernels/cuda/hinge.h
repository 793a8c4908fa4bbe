// Multi-class hinge loss on a GPU: kernels/hinge.h says what is computed. The order of a
// row's sum is another one, as fixed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/hinge.h"

namespace lockstep::kernels::cuda {

Launched Hinge(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* scores,
               float* losses, float* correct, Stream stream);

}  // namespace lockstep::kernels::cuda
