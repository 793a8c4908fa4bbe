// Random inputs for the kernels' tests: a pure function of the stream.
#pragma once

#include <cstdint>
#include <vector>

#include "common/numerics/philox.h"

namespace lockstep::kernels {

inline std::vector<float> Random(int64_t count, float low, float high, uint64_t stream) {
  std::vector<float> out(static_cast<size_t>(count));
  const uint64_t purpose = uint64_t{static_cast<uint32_t>(RandomPurpose::kTest)} << 56;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = low + (high - low) * UniformFromBits(Philox(stream, purpose, static_cast<uint64_t>(i)).value[0]);
  }
  return out;
}

// bfloat16, nearest even.
inline float RoundedToBf16(float x) {
  uint32_t bits = __builtin_bit_cast(uint32_t, x);
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return __builtin_bit_cast(float, bits & 0xffff0000u);
}

}  // namespace lockstep::kernels
