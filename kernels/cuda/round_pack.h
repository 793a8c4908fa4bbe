// kernels/rounding.h for one pack of weights.
#pragma once

#include "kernels/cuda/pack.h"
#include "kernels/cuda/tensor_core.h"
#include "kernels/rounding.h"

namespace lockstep::kernels::cuda {

template <int kCount>
struct alignas(2 * kCount) RoundedPack {
  uint16_t value[kCount];
};

__device__ inline float Widened(uint16_t rounded) {
  union {
    uint32_t bits;
    float value;
  } as;
  as.bits = uint32_t{rounded} << 16;
  return as.value;
}
__device__ inline uint32_t BitsOf(float x) {
  union {
    float value;
    uint32_t bits;
  } as;
  as.value = x;
  return as.bits;
}

// rounded[at, at + kCount) = the weights from place `at` on; 4 of them begin at a multiple of 4.
template <int kCount>
__device__ inline void StoreRounded(const Rounding& rounding, int64_t at, const Pack<kCount>& weights,
                                    uint16_t* rounded) {
  RoundedPack<kCount> out;
  if (rounding.stochastic) {
    const PhiloxBlock random = Philox(rounding.seed, rounding.CounterHigh(), static_cast<uint64_t>(at) / 4);
    const int first = kCount == 4 ? 0 : static_cast<int>(at % 4);
#pragma unroll
    for (int k = 0; k < 4; ++k) {  // an index that is not constant would put the words into memory
      if (k < first || k >= first + kCount) continue;
      out.value[kCount == 4 ? k : 0] =
          RoundedStochastically(BitsOf(weights[kCount == 4 ? k : 0]), random.value[k]);
    }
  } else {
#pragma unroll
    for (int k = 0; k < kCount; ++k) out.value[k] = static_cast<uint16_t>(Bf16Pair(weights[k], 0.0f));
  }
  *reinterpret_cast<RoundedPack<kCount>*>(rounded + at) = out;
}

}  // namespace lockstep::kernels::cuda
