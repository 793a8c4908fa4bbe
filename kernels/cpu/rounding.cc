#include "kernels/rounding.h"

#include "kernels/cpu/philox_lanes.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void RoundStochastically(const Rounding& rounding, int64_t first, int64_t count, const float* in,
                         uint16_t* out) {
  // Spelt out, not CounterHigh() or RoundedStochastically(): see isa.h.
  const uint64_t high = (uint64_t{static_cast<uint32_t>(RandomPurpose::kRounding)} << 56) |
                        static_cast<uint64_t>(rounding.step);
  uint32_t words[64];
  for (int64_t group = first / 64; 64 * group < first + count; ++group) {
    // 16 blocks begin at a multiple of 16, so that no carry leaves the lowest word within them.
    SixteenBlocks(rounding.seed, high, static_cast<uint32_t>(static_cast<uint64_t>(16 * group) >> 32),
                  static_cast<uint32_t>(16 * group), words);
    const int64_t begin = 64 * group < first ? first - 64 * group : 0;
    const int64_t end = first + count - 64 * group < 64 ? first + count - 64 * group : 64;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = 64 * group + i - first;
      uint32_t bits;
      __builtin_memcpy(&bits, in + at, sizeof(bits));
      const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
      const uint32_t word = words[16 * (i % 4) + i / 4];
      out[at] = static_cast<uint16_t>(nan ? bits >> 16 | 0x40u : (bits + (word >> 16)) >> 16);
    }
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
