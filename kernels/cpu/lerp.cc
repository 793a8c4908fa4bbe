#include "kernels/lerp.h"

#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void Lerp(int64_t count, float share, const float* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = y[i] + share * (x[i] - y[i]);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
