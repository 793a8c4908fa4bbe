// What cuda/tensor_core.h does on the host.
#pragma once

#include <cstdint>

namespace lockstep::kernels::emulation {

uint32_t Bf16Pair(float low, float high);

// The sum of 16 products and c in float64, rounded once: no device's order, but as good as any.
void MultiplyBf16(float* c, const uint32_t* a, const uint32_t* b, int line);

}  // namespace lockstep::kernels::emulation
