// Rounding weights to bfloat16, for products that read them so. To the nearest, ties to even; or
// stochastically: up with the probability of what is cut off, so that the mean of many steps is the weight
// itself (Gupta et al., "Deep learning with limited numerical precision", ICML 2015).
//
// The random 16 bits of weight i (its place in the flat buffer) at a step are the upper half of value[i % 4]
// of
//   Philox(seed, kRounding << 56 | step, i / 4)
// and are added below the bits that are kept: a function of (seed, step, i) alone. A finite weight may become
// infinite, as when it is rounded to the nearest; NaN stays NaN.
#pragma once

#include <cstdint>

#include "common/numerics/philox.h"

namespace lockstep::kernels {

struct Rounding {
  bool stochastic = false;
  uint64_t seed = 0;
  int64_t step = 0;  // below 2^56; of the gradient that the rounded weights are for
  LOCKSTEP_HOST_DEVICE uint64_t CounterHigh() const {
    return (uint64_t{static_cast<uint32_t>(RandomPurpose::kRounding)} << 56) | static_cast<uint64_t>(step);
  }
};

// Of a float32's bits, and the weight's random word.
LOCKSTEP_HOST_DEVICE inline uint16_t RoundedStochastically(uint32_t bits, uint32_t word) {
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<uint16_t>(nan ? bits >> 16 | 0x40u : (bits + (word >> 16)) >> 16);
}

namespace cpu {
// out[i] is weight first + i, stochastically; in and out begin at weight `first`.
void RoundStochastically(const Rounding& rounding, int64_t first, int64_t count, const float* in,
                         uint16_t* out);
}  // namespace cpu

}  // namespace lockstep::kernels
