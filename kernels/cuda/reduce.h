// Reductions over a warp or a block in an order of their own: bits depend on the lanes' values alone.
#pragma once

#include "kernels/cuda/launch.h"

namespace lockstep::kernels::cuda {

// Every lane gets the result. `combine` is commutative: a lane may be either operand.
template <class T, class Combine>
__device__ inline T WarpReduce(T value, const Combine& combine) {
#pragma unroll
  for (int half = kWarp / 2; half > 0; half /= 2) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, half));
  }
  return value;
}

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Largest {
  __device__ float operator()(float a, float b) const { return b > a ? b : a; }  // NaN never wins
};
struct Least {
  __device__ int64_t operator()(int64_t a, int64_t b) const { return b < a ? b : a; }
};

template <class T>
__device__ inline T WarpSum(T value) {
  return WarpReduce(value, Plus());
}

// As WarpReduce over a block of kWarps full warps, all of whose threads call it. One array in shared memory
// for each place in the source that calls it.
template <int kWarps, class T, class Combine>
__device__ inline T BlockReduce(T value, const Combine& combine) {
  value = WarpReduce(value, combine);
  if constexpr (kWarps > 1) {
    LOCKSTEP_SHARED(of_warp, T[kWarps]);
    __syncthreads();  // the values of the call before have been read
    if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
    __syncthreads();
    value = of_warp[0];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) value = combine(value, of_warp[w]);
  }
  return value;
}
template <int kWarps, class T>
__device__ inline T BlockSum(T value) {
  return BlockReduce<kWarps>(value, Plus());
}

}  // namespace lockstep::kernels::cuda
