#include "worker/trainer/replicas.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr int kBytes = 8;

}  // namespace

void PutReplicaHash(uint64_t hash, float* flags) {
  for (int i = 0; i < kBytes; ++i) {
    const auto byte = static_cast<float>(hash >> 8 * i & 0xff);
    flags[i] = byte;
    flags[kBytes + i] = byte * byte;
  }
}

bool ReplicasAgree(const float* sums, int world) {
  for (int i = 0; i < kBytes; ++i) {
    const auto sum = static_cast<int64_t>(sums[i]), squares = static_cast<int64_t>(sums[kBytes + i]);
    if (world * squares != sum * sum) return false;
  }
  return true;
}

std::optional<std::vector<int>> OddRanks(std::span<const uint64_t> hashes) {
  for (const uint64_t candidate : hashes) {
    if (2 * std::count(hashes.begin(), hashes.end(), candidate) <= std::ssize(hashes)) continue;
    std::vector<int> odd;
    for (size_t rank = 0; rank < hashes.size(); ++rank) {
      if (hashes[rank] != candidate) odd.push_back(static_cast<int>(rank));
    }
    return odd;
  }
  return std::nullopt;
}

}  // namespace lockstep
