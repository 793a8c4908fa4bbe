// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
// generator. A value is a pure function of (key, counter), so randomness never depends on rank, thread or
// time. Usable from CUDA.
#pragma once

#include <array>
#include <cstdint>

#ifdef __CUDACC__
#define LOCKSTEP_HOST_DEVICE __host__ __device__
#else
#define LOCKSTEP_HOST_DEVICE
#endif

namespace lockstep {

// What a random value is for; part of the counter, so that two purposes never share a value.
enum class RandomPurpose : uint32_t {
  kWeights = 1,
  kDropout = 2,
  kSplit = 3,
  kOrder = 4,
  kData = 5,
  kTest = 6,
  kCut = 7,       // where a language model's text is cut into samples
  kSampling = 8,  // which token a model generates
  kRounding = 9   // of weights to bfloat16
};

struct PhiloxBlock {
  uint32_t value[4];
};

LOCKSTEP_HOST_DEVICE inline PhiloxBlock Philox(uint64_t key, uint64_t counter_high, uint64_t counter_low) {
  uint32_t c0 = static_cast<uint32_t>(counter_low), c1 = static_cast<uint32_t>(counter_low >> 32);
  uint32_t c2 = static_cast<uint32_t>(counter_high), c3 = static_cast<uint32_t>(counter_high >> 32);
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Uniform in (0, 1): never 0, never 1, so that its logarithm and that of 1 minus it are finite.
LOCKSTEP_HOST_DEVICE inline float UniformFromBits(uint32_t bits) {
  const float value = (static_cast<float>(bits >> 8) + 0.5f) * (1.0f / 16777216.0f);
  return value < 1.0f ? value : 1.0f - 1.0f / 16777216.0f;  // the last half is rounded up
}

}  // namespace lockstep
