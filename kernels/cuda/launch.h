// What the CUDA launchers share: the check after every call, and the grid of an elementwise kernel.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/status.h"

// Returns an INTERNAL status with the failing expression's text from the enclosing function.
#define LOCKSTEP_CUDA_RETURN_IF_ERROR(expression)                                                      \
  do {                                                                                                 \
    if (const cudaError_t cuda_error = (expression); cuda_error != cudaSuccess) {                      \
      return absl::InternalError(std::string(#expression ": ") + cudaGetErrorName(cuda_error) + ": " + \
                                 cudaGetErrorString(cuda_error));                                      \
    }                                                                                                  \
  } while (false)

namespace lockstep::kernels::cuda {

inline constexpr int kThreads = 256;

// Blocks for `count` items; the kernels stride over what is left. 0 items need no launch.
inline unsigned Blocks(int64_t count, int64_t per_block = kThreads) {
  return static_cast<unsigned>(std::min<int64_t>((count + per_block - 1) / per_block, 65535));
}

__device__ inline int64_t FirstItem() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t ItemStride() { return int64_t{gridDim.x} * blockDim.x; }

}  // namespace lockstep::kernels::cuda
