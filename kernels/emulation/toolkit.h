// launch.h for the host compiler: CUDA's words for a kernel's source, carried out by kernels/emulation. Loads
// and stores need no word: the compiler calls hooks.cc at each of them (-fsanitize=thread without its
// library).
#pragma once

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <tuple>

#include "kernels/cuda/stream.h"
#include "kernels/emulation/run.h"
#include "kernels/emulation/synchronization.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict

#define threadIdx (::lockstep::kernels::emulation::ThreadIndex())
#define blockIdx (::lockstep::kernels::emulation::BlockIndex())
#define blockDim (::lockstep::kernels::emulation::BlockExtent())
#define gridDim (::lockstep::kernels::emulation::GridExtent())

// One array for each place in the source (and instantiation) that declares one, as in CUDA.
#define LOCKSTEP_SHARED(name, ...)                                                                   \
  auto& name = ::lockstep::kernels::emulation::SharedArray<__VA_ARGS__>(#name, []() -> const void* { \
    static const char place = 0;                                                                     \
    return &place;                                                                                   \
  }())
#define LOCKSTEP_DYNAMIC_SHARED(name, element) \
  element* const name = static_cast<element*>(::lockstep::kernels::emulation::DynamicShared())

using dim3 = lockstep::kernels::emulation::Extent;

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(4) uchar4 {
  unsigned char x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) {
  return {x, y, z, w};
}
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }

namespace lockstep::kernels::cuda {

struct LaunchAt {
  const char* launcher;
  dim3 blocks;
  unsigned threads;
  Stream stream;
  size_t shared = 0;
};

// A thread's parameters are its own copies, made before what it does is watched.
template <auto kKernel, class Arguments>
void EmulatedThread(const void* packed) {
  Arguments arguments = *static_cast<const Arguments*>(packed);
  emulation::BeginKernel();
  std::apply(kKernel, arguments);
}

template <auto kKernel, class... Arguments>
Launched Launch(const LaunchAt& at, Arguments... arguments) {
  const std::tuple<Arguments...> packed(arguments...);
  const int error =
      emulation::Run({at.launcher, __PRETTY_FUNCTION__, at.blocks, {at.threads, 1, 1}, at.shared},
                     EmulatedThread<kKernel, std::tuple<Arguments...>>, &packed, sizeof(packed));
  return {error, at.launcher};
}

}  // namespace lockstep::kernels::cuda
