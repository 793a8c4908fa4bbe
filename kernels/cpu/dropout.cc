#include "kernels/dropout.h"

#include "kernels/cpu/variants.h"
#include "kernels/cpu/vector.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// Philox on 32-bit words that each sit in a 64-bit lane: the product of two words is then one instruction,
// its high word one shift, and what is left above a low word is never looked at.
struct Counter {
  Words c0, c1, c2, c3;
};

inline void Round(Counter& c, Words k0, Words k1) {
  const Words p0 = MultiplyEven(c.c0, SplatWord(0xD2511F53u));
  const Words p1 = MultiplyEven(c.c2, SplatWord(0xCD9E8D57u));
  c.c0 = Xor(Xor(ShiftDown(p1), c.c1), k0);
  c.c1 = p1;
  c.c2 = Xor(Xor(ShiftDown(p0), c.c3), k1);
  c.c3 = p0;
}

// Even and odd blocks side by side again.
inline Words Interleave(Words even, Words odd) { return Or(And(even, LowHalves()), ShiftUp(odd)); }

// The 64 random words of columns 64 g .. 64 g + 63 of one row (see the header), kLanes blocks at a time.
inline void RandomGroup(uint64_t seed, uint64_t counter_high, uint32_t row, uint32_t group, uint32_t* out) {
  for (uint32_t lane = 0; lane < 16; lane += kLanes) {
    uint32_t blocks[kLanes];
    for (uint32_t j = 0; j < kLanes; ++j) blocks[j] = 16 * group + lane + j;
    Counter even{LoadWords(blocks), SplatWord(row), SplatWord(static_cast<uint32_t>(counter_high)),
                 SplatWord(static_cast<uint32_t>(counter_high >> 32))};
    Counter odd = even;
    odd.c0 = ShiftDown(even.c0);
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      Round(even, SplatWord(k0), SplatWord(k1));
      Round(odd, SplatWord(k0), SplatWord(k1));
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    StoreWords(out + lane, Interleave(even.c0, odd.c0));
    StoreWords(out + 16 + lane, Interleave(even.c1, odd.c1));
    StoreWords(out + 32 + lane, Interleave(even.c2, odd.c2));
    StoreWords(out + 48 + lane, Interleave(even.c3, odd.c3));
  }
}

}  // namespace

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
      RandomGroup(key.seed, counter_high, key.first_row + static_cast<uint32_t>(r),
                  static_cast<uint32_t>(first / 64), words);
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
