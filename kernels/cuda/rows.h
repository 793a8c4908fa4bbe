// Kernels that give each row of a matrix to a warp or, where it is long, to a block: which of them depends on
// the width alone, so that a row's bits do, too.
//
//   template <int kWarps, int kFloats> __global__ void SomeKernel(int64_t rows, int64_t width, ...) {
//     constexpr int kOwn = kWarps * kWarp;  // threads of a row
//     for (int64_t r = FirstItem() / kOwn; r < rows; r += ItemStride() / kOwn) ...
//   }
//   ForRows(rows, width, [&](auto warps, auto floats, unsigned blocks) {
//     return Launch<SomeKernel<warps.kInt, floats.kInt>>({"Some", blocks, kThreads, stream}, rows, width,
//     ...);
//   });
#pragma once

#include "kernels/cuda/reduce.h"

namespace lockstep::kernels::cuda {

template <int kValue>
struct IntConstant {
  static constexpr int kInt = kValue;
};

// Orders the accesses of a row's threads: those before it come first.
template <int kWarps>
__device__ inline void OwnersMeet() {
  if constexpr (kWarps == 1) {
    __syncwarp();
  } else {
    __syncthreads();
  }
}

template <class Call>
Launched ForRows(int64_t rows, int64_t width, const Call& launch) {
  constexpr int64_t kOfAWarp = 1024;
  constexpr int kBlockWarps = kThreads / kWarp;
  if (width <= kOfAWarp) {
    const unsigned blocks = Blocks(rows, kBlockWarps);
    return width % 4 == 0 ? launch(IntConstant<1>(), IntConstant<4>(), blocks)
                          : launch(IntConstant<1>(), IntConstant<1>(), blocks);
  }
  return width % 4 == 0 ? launch(IntConstant<kBlockWarps>(), IntConstant<4>(), Blocks(rows, 1))
                        : launch(IntConstant<kBlockWarps>(), IntConstant<1>(), Blocks(rows, 1));
}

}  // namespace lockstep::kernels::cuda
