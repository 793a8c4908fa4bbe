// What the CUDA launchers share: the check after every launch, and the grid of an elementwise kernel.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

inline constexpr int kThreads = 256;

// Blocks for `count` items; the kernels stride over what is left. 0 items need no launch.
inline unsigned Blocks(int64_t count, int64_t per_block = kThreads) {
  const int64_t blocks = (count + per_block - 1) / per_block;
  return static_cast<unsigned>(blocks < 65535 ? blocks : 65535);
}

// How the launch just made by `launcher` went.
inline Launched LastLaunch(const char* launcher) { return {static_cast<int>(cudaGetLastError()), launcher}; }

__device__ inline int64_t FirstItem() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t ItemStride() { return int64_t{gridDim.x} * blockDim.x; }

}  // namespace lockstep::kernels::cuda
