#include "kernels/dropout.h"

#include "kernels/cpu/philox_lanes.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void DropoutForward(const DropoutKey& key, double p, int64_t rows, int64_t width, const float* x, float* y,
                    uint8_t* mask) {
  const uint32_t threshold = static_cast<uint32_t>(p * 4294967296.0);
  const float scale = static_cast<float>(1.0 / (1.0 - p));
  // Spelt out, not key.CounterHigh(): see isa.h.
  const uint64_t counter_high = (uint64_t{static_cast<uint32_t>(RandomPurpose::kDropout)} << 56) |
                                (uint64_t{key.layer} << 40) | static_cast<uint64_t>(key.step);
  uint32_t words[64];
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t first = 0; first < width; first += 64) {
      SixteenBlocks(key.seed, counter_high, key.first_row + static_cast<uint32_t>(r),
                    static_cast<uint32_t>(first / 4), words);
      const float* __restrict in = x + r * width + first;
      float* __restrict out = y + r * width + first;
      uint8_t* __restrict kept = mask + r * width + first;
      const int64_t count = width - first < 64 ? width - first : 64;
      for (int64_t c = 0; c < count; ++c) out[c] = words[c] >= threshold ? in[c] * scale : 0.0f;
      for (int64_t c = 0; c < count; ++c) kept[c] = words[c] >= threshold;
    }
  }
}

void DropoutBackward(double p, int64_t count, const uint8_t* mask, const float* dy, float* dx) {
  const float scale = static_cast<float>(1.0 / (1.0 - p));
  for (int64_t i = 0; i < count; ++i) dx[i] = mask[i] ? dy[i] * scale : 0.0f;
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
