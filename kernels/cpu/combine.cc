#include "kernels/combine.h"

#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void Combine(int64_t count, float a, const float* __restrict x, float b, float* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = a * x[i] + b * y[i];
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
