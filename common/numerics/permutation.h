// A keyed permutation of [0, n) with O(1) memory and random access in both directions: the order of the
// records in an epoch, so that a data cursor is just (epoch, position).
//
// A number below 2^k, with 2^k the least power of two >= n, is cut into two parts of k/2 bits (rounded down
// and up); each round of the Feistel network adds (xor) a keyed mix of one part to the other, in turn, which
// can be undone whatever the mix is. A result >= n is sent through the network again until it falls below n
// (cycle walking): the walk follows a cycle of a permutation of [0, 2^k) which passes through the start, so
// it ends, after fewer than two turns on average, and the result is again a permutation.
//
// The round keys come from Philox under (seed, purpose kOrder, epoch); the mix is a 64-bit finaliser.
// Changing any constant here changes the bits of every job. Immutable; safe to use from several threads.
#pragma once

#include <array>
#include <cstdint>

namespace lockstep {

class Permutation {
 public:
  // REQUIRES: 0 <= n <= 2^62.
  Permutation(uint64_t seed, uint64_t epoch, int64_t n);

  int64_t size() const { return n_; }

  // What stands at `position`. REQUIRES: 0 <= position < n.
  int64_t At(int64_t position) const;

  // Where `value` stands: Inverse(At(i)) == i. REQUIRES: 0 <= value < n.
  int64_t Inverse(int64_t value) const;

 private:
  static constexpr int kRounds = 10;

  uint64_t Forward(uint64_t value) const;
  uint64_t Backward(uint64_t value) const;

  int64_t n_ = 0;
  int low_bits_ = 0;
  uint64_t low_mask_ = 0;
  uint64_t high_mask_ = 0;
  std::array<uint64_t, kRounds> keys_;
};

}  // namespace lockstep
