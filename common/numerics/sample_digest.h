// Which samples were used, in 64 bits: the sum, modulo 2^64, of a share for each. It does not depend on their
// order or on who used them, so the digests of a step's ranks add up to the step's; a sample that was left
// out, used twice or put in another's place changes it.
#pragma once

#include <cstdint>

namespace lockstep {

// Of the sample with this number in its part of the dataset; the finaliser of SplitMix64 (Steele et al.
// 2014).
inline uint64_t SampleShare(int64_t sample) {
  uint64_t x = (static_cast<uint64_t>(sample) + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

}  // namespace lockstep
