// Rounding on a GPU. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

// out (count) = in rounded to bfloat16, nearest even, as products of GemmType::kBf16 round their operands.
Launched RoundToBf16(int64_t count, const float* in, uint16_t* out, Stream stream);

}  // namespace lockstep::kernels::cuda
