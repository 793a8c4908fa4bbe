#include "kernels/gemm.h"

#include "kernels/cpu/gemm_block.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void GemmFp32(const GemmArguments& arguments, float* scratch) {
  GemmBlocks<Fp32, PackFp32>(arguments, scratch);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
