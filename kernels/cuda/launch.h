// What every kernel's source includes: the device, or its emulation on the host, and what launchers share.
//
//   return Launch<SgdKernel>({"SgdUpdate", Blocks(count), kThreads, stream}, step, count, weights);
//
// queues a kernel and says how that went. A kernel is written in CUDA as it is, but for two words: launches
// go through Launch, and shared memory is declared as LOCKSTEP_SHARED(name, type) or, where the launch gives
// its size, LOCKSTEP_DYNAMIC_SHARED(name, element). Names of kernels are unique among all sources here.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#ifdef __CUDACC__
#include "kernels/cuda/toolkit.h"
#else
#include "kernels/emulation/toolkit.h"
#endif

namespace lockstep::kernels::cuda {

inline constexpr int kThreads = 256;
inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Blocks for `count` items; the kernels stride over what is left. 0 items need no launch.
inline unsigned Blocks(int64_t count, int64_t per_block = kThreads) {
  const int64_t blocks = (count + per_block - 1) / per_block;
  return static_cast<unsigned>(blocks < 65535 ? blocks : 65535);
}

__device__ inline int64_t FirstItem() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t ItemStride() { return int64_t{gridDim.x} * blockDim.x; }

}  // namespace lockstep::kernels::cuda
