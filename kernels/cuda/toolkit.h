// launch.h for nvcc; kernels/emulation/toolkit.h is its sibling.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

template <class T>
using SharedType = T;

#define LOCKSTEP_SHARED(name, ...) \
  __shared__ alignas(16)::lockstep::kernels::cuda::SharedType<__VA_ARGS__> name
#define LOCKSTEP_DYNAMIC_SHARED(name, element)        \
  extern __shared__ float4 lockstep_dynamic_shared[]; \
  element* const name = reinterpret_cast<element*>(lockstep_dynamic_shared)

struct LaunchAt {
  const char* launcher;  // who is to be named when it fails
  dim3 blocks;
  unsigned threads;
  Stream stream;
  size_t shared = 0;  // bytes of dynamic shared memory
};

template <auto kKernel, class... Arguments>
Launched Launch(const LaunchAt& at, Arguments... arguments) {
  constexpr size_t kWithoutAsking = 48 * 1024;
  if (at.shared > kWithoutAsking) {
    const cudaError_t error = cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   static_cast<int>(at.shared));
    if (error != cudaSuccess) return {static_cast<int>(error), at.launcher};
  }
  kKernel<<<at.blocks, at.threads, at.shared, at.stream>>>(arguments...);
  return {static_cast<int>(cudaGetLastError()), at.launcher};
}

}  // namespace lockstep::kernels::cuda
