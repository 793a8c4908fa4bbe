#include "kernels/cpu/variants.h"
#include "kernels/gemm.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void Transpose(int64_t rows, int64_t columns, const float* __restrict in, float* __restrict out) {
  constexpr int64_t kBlock = 16;
  for (int64_t r0 = 0; r0 < rows; r0 += kBlock) {
    const int64_t r1 = r0 + kBlock < rows ? r0 + kBlock : rows;
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t r = r0; r < r1; ++r) out[c * rows + r] = in[r * columns + c];
    }
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
