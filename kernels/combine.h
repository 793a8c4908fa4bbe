// y = a * x + b * y, elementwise.
#pragma once

#include <cstdint>

namespace lockstep::kernels::cpu {

void Combine(int64_t count, float a, const float* x, float b, float* y);

}  // namespace lockstep::kernels::cpu
