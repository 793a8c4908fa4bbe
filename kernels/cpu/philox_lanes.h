// Philox (common/numerics/philox.h) for kLanes neighbouring counters at a time.
#pragma once

#include "kernels/cpu/vector.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// Philox on 32-bit words that each sit in a 64-bit lane: the product of two words is then one instruction,
// its high word one shift, and what is left above a low word is never looked at.
struct PhiloxCounter {
  Words c0, c1, c2, c3;
};

inline void PhiloxRound(PhiloxCounter& c, Words k0, Words k1) {
  const Words p0 = MultiplyEven(c.c0, SplatWord(0xD2511F53u));
  const Words p1 = MultiplyEven(c.c2, SplatWord(0xCD9E8D57u));
  c.c0 = Xor(Xor(ShiftDown(p1), c.c1), k0);
  c.c1 = p1;
  c.c2 = Xor(Xor(ShiftDown(p0), c.c3), k1);
  c.c3 = p0;
}

// Even and odd blocks side by side again.
inline Words Interleave(Words even, Words odd) { return Or(And(even, LowHalves()), ShiftUp(odd)); }

// value[k] of block low + j, for j below 16, to out[16 k + j]; the counter's words above the lowest are
// low1, high.
inline void SixteenBlocks(uint64_t seed, uint64_t high, uint32_t low1, uint32_t low, uint32_t* out) {
  for (uint32_t lane = 0; lane < 16; lane += kLanes) {
    uint32_t blocks[kLanes];
    for (uint32_t j = 0; j < kLanes; ++j) blocks[j] = low + lane + j;
    PhiloxCounter even{LoadWords(blocks), SplatWord(low1), SplatWord(static_cast<uint32_t>(high)),
                       SplatWord(static_cast<uint32_t>(high >> 32))};
    PhiloxCounter odd = even;
    odd.c0 = ShiftDown(even.c0);
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      PhiloxRound(even, SplatWord(k0), SplatWord(k1));
      PhiloxRound(odd, SplatWord(k0), SplatWord(k1));
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
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
