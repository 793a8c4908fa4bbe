// y += share * (x - y), elementwise: one step of an exponential moving average (decay = 1 - share).
#pragma once

#include <cstdint>

namespace lockstep::kernels::cpu {

void Lerp(int64_t count, float share, const float* x, float* y);

}  // namespace lockstep::kernels::cpu
