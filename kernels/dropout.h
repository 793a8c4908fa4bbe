// Inverted dropout, keyed by (seed, layer, step, global row): the mask of a row is the same whoever computes
// it.
//
//   y = keep ? x / (1 - p) : 0        dx = keep ? dy / (1 - p) : 0
//
// Element (row, column) is kept when its random word is at least p * 2^32. With column = 64 g + 16 k + j
// (0 <= k < 4, 0 <= j < 16) the word is value[k] of
//   Philox(seed, kDropout << 56 | layer << 40 | step, row << 32 | 16 g + j)
// so that sixteen lanes make 64 neighbouring columns without a shuffle.
// Shapes: x, y, dy, dx, mask (rows, width); mask holds 1 for kept, 0 for dropped.
#pragma once

#include <cstdint>

#include "common/numerics/philox.h"

namespace lockstep::kernels {

struct DropoutKey {
  uint64_t seed = 0;
  uint32_t layer = 0;      // below 2^16
  int64_t step = 0;        // below 2^40
  uint32_t first_row = 0;  // the global row of row 0
  LOCKSTEP_HOST_DEVICE uint64_t CounterHigh() const {
    return (uint64_t{static_cast<uint32_t>(RandomPurpose::kDropout)} << 56) | (uint64_t{layer} << 40) |
           static_cast<uint64_t>(step);
  }
};

// The probability as an integer threshold.
LOCKSTEP_HOST_DEVICE inline uint32_t DropoutThreshold(double p) {
  return static_cast<uint32_t>(p * 4294967296.0);  // REQUIRES: 0 <= p < 1
}

namespace cpu {
void DropoutForward(const DropoutKey& key, double p, int64_t rows, int64_t width, const float* x, float* y,
                    uint8_t* mask);
// dx may be dy.
void DropoutBackward(double p, int64_t count, const uint8_t* mask, const float* dy, float* dx);
}  // namespace cpu

}  // namespace lockstep::kernels
