// Instructions of the tensor cores (sm_80 and later), each with an emulated body (emulation/tensor_core.h).
// How a warp's lanes hold the matrices: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point
// type".
#pragma once

#include <cstdint>

#include "kernels/cuda/launch.h"
#ifndef __CUDACC__
#include "kernels/emulation/tensor_core.h"
#endif

namespace lockstep::kernels::cuda {

// Two floats rounded to bfloat16, nearest even; `low` is the lower half.
__device__ inline uint32_t Bf16Pair(float low, float high) {
#ifdef __CUDACC__
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return emulation::Bf16Pair(low, high);
#endif
}

// c (16, 8) += a (16, 16) * b (16, 8), by all lanes of a warp. Lane 4 g + t holds, two to a word,
//   a: (g, 2t) (g + 8, 2t) (g, 2t + 8) (g + 8, 2t + 8)      each with the one to its right
//   b: (2t, g) (2t + 8, g)                                  each with the one below
// and of c (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1). In which order a device adds the 16 products
// is not documented; it is the same for every element.
__device__ inline void MultiplyBf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  emulation::MultiplyBf16(c, a, b, __LINE__);
#endif
}

}  // namespace lockstep::kernels::cuda
