#include "kernels/tree_add.h"

#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void TreeAddInto(int64_t count, const float* __restrict source, float* __restrict target) {
  for (int64_t i = 0; i < count; ++i) target[i] += source[i];
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
