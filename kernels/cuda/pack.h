// Elementwise kernels over floats, 16 bytes at a time where all of their buffers allow it.
//
//   ForPacks(count, four, [&](auto pack, int64_t at) {
//     auto t = Load<pack.kFloats>(target + at);
//     for (int k = 0; k < pack.kFloats; ++k) t[k] += ...;
//     Store(target + at, t);
//   });
#pragma once

#include <cstdint>

#include "kernels/cuda/launch.h"

namespace lockstep::kernels::cuda {

template <int kCount>
struct alignas(4 * kCount) Pack {
  static constexpr int kFloats = kCount;
  float value[kCount];
  __device__ float& operator[](int i) { return value[i]; }
  __device__ float operator[](int i) const { return value[i]; }
};

template <int kCount>
__device__ inline Pack<kCount> Load(const float* from) {
  return *reinterpret_cast<const Pack<kCount>*>(from);
}
template <int kCount>
__device__ inline void Store(float* to, const Pack<kCount>& pack) {
  *reinterpret_cast<Pack<kCount>*>(to) = pack;
}

// The same floats one at a time where they are not aligned: no bit depends on where a buffer lies.
template <int kCount>
__device__ inline Pack<kCount> Load(const float* from, bool aligned) {
  if (aligned) return Load<kCount>(from);
  Pack<kCount> pack;
#pragma unroll
  for (int k = 0; k < kCount; ++k) pack[k] = from[k];
  return pack;
}
template <int kCount>
__device__ inline void Store(float* to, const Pack<kCount>& pack, bool aligned) {
  if (aligned) return Store(to, pack);
#pragma unroll
  for (int k = 0; k < kCount; ++k) to[k] = pack[k];
}

// to += pack, or to = pack.
template <int kCount>
__device__ inline void AddOrStore(bool add, float* to, Pack<kCount> pack, bool aligned = true) {
  if (add) {
    const auto there = Load<kCount>(to, aligned);
    for (int k = 0; k < kCount; ++k) pack[k] = there[k] + pack[k];
  }
  Store(to, pack, aligned);
}

template <int kCount>
struct PackOf {
  static constexpr int kFloats = kCount;
};

// May all of these be read four at a time? A null one is not read.
template <class... Pointers>
bool FourAtATime(Pointers... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

// Blocks for ForPacks over `count` floats.
inline unsigned PackBlocks(int64_t count) { return Blocks(count, 4 * kThreads); }

// Calls each(PackOf<4>, first index) and, for the rest, each(PackOf<1>, index), the whole grid taking part.
template <class Each>
__device__ void ForPacks(int64_t count, bool four, const Each& each) {
  const int64_t packs = four ? count / 4 : 0;
  for (int64_t i = FirstItem(); i < packs; i += ItemStride()) each(PackOf<4>(), 4 * i);
  for (int64_t i = 4 * packs + FirstItem(); i < count; i += ItemStride()) each(PackOf<1>(), i);
}

}  // namespace lockstep::kernels::cuda
