// Floating-point tensors of any width as float32.
#pragma once

#include <cstdint>

#include "common/checkpoint/safetensors.h"

namespace lockstep {

bool IsFloat(DType dtype);

// `count` elements at `data`, which need not be aligned. REQUIRES: IsFloat(dtype).
void ToFloat(DType dtype, const void* data, int64_t count, float* out);

}  // namespace lockstep
