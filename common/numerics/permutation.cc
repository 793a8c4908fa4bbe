#include "common/numerics/permutation.h"

#include <bit>

#include "common/numerics/philox.h"

namespace lockstep {
namespace {

// Stafford's 13th variant of the MurmurHash3 finaliser.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

Permutation::Permutation(uint64_t seed, uint64_t epoch, int64_t n) : n_(n) {
  const int bits = n <= 1 ? 0 : std::bit_width(static_cast<uint64_t>(n - 1));
  low_bits_ = bits / 2;
  low_mask_ = (uint64_t{1} << low_bits_) - 1;
  high_mask_ = (uint64_t{1} << (bits - low_bits_)) - 1;
  for (int i = 0; i < kRounds; i += 2) {
    const uint64_t purpose = uint64_t{static_cast<uint32_t>(RandomPurpose::kOrder)} << 32;
    const PhiloxBlock block = Philox(seed, purpose | static_cast<uint32_t>(i), epoch);
    keys_[i] = uint64_t{block.value[1]} << 32 | block.value[0];
    keys_[i + 1] = uint64_t{block.value[3]} << 32 | block.value[2];
  }
}

uint64_t Permutation::Forward(uint64_t value) const {
  uint64_t low = value & low_mask_, high = value >> low_bits_;
  for (int i = 0; i < kRounds; i += 2) {
    high ^= Mix(low ^ keys_[i]) & high_mask_;
    low ^= Mix(high ^ keys_[i + 1]) & low_mask_;
  }
  return high << low_bits_ | low;
}

uint64_t Permutation::Backward(uint64_t value) const {
  uint64_t low = value & low_mask_, high = value >> low_bits_;
  for (int i = kRounds - 2; i >= 0; i -= 2) {
    low ^= Mix(high ^ keys_[i + 1]) & low_mask_;
    high ^= Mix(low ^ keys_[i]) & high_mask_;
  }
  return high << low_bits_ | low;
}

int64_t Permutation::At(int64_t position) const {
  uint64_t value = static_cast<uint64_t>(position);
  do value = Forward(value);
  while (value >= static_cast<uint64_t>(n_));
  return static_cast<int64_t>(value);
}

int64_t Permutation::Inverse(int64_t value) const {
  uint64_t position = static_cast<uint64_t>(value);
  do position = Backward(position);
  while (position >= static_cast<uint64_t>(n_));
  return static_cast<int64_t>(position);
}

}  // namespace lockstep
