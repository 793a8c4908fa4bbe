// Do all ranks hold the same bits? Each adds a hash of its state to the step's reduction, before anything is
// changed by that step, and all see from the same sums whether the hashes were equal; a message more is
// needed only where they were not, to find out whose differs. A rank that differs has corrupt memory (or
// computes wrongly); the gradient that it took part in is thrown away.
//
// With h_r a byte of rank r's hash, all are equal if and only if W * sum(h_r^2) == (sum h_r)^2 (Cauchy and
// Schwarz); sums of 256 such squares are exact in a float.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lockstep {

inline constexpr int kReplicaFlags = 16;  // floats of the reduction
inline constexpr int kMostComparedRanks = 256;

void PutReplicaHash(uint64_t hash, float* flags);

// From the sums of all ranks' flags. REQUIRES: world <= kMostComparedRanks.
bool ReplicasAgree(const float* sums, int world);

// The ranks whose hash is not that of more than half of them; nullopt: no hash is.
std::optional<std::vector<int>> OddRanks(std::span<const uint64_t> hashes);

}  // namespace lockstep
