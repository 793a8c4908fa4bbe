// One addition of the reduction tree on a GPU: kernels/tree_add.h says what is computed. On an error nothing
// was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/tree_add.h"

namespace lockstep::kernels::cuda {

Launched TreeAddInto(int64_t count, const float* source, float* target, Stream stream);

}  // namespace lockstep::kernels::cuda
