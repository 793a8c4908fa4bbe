#include "kernels/cuda/hash.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/reduce.h"

namespace lockstep::kernels::cuda {
namespace {

constexpr int kHashWarps = kThreads / kWarp;

// splitmix64's last steps, of the bits and the index in halves of their own.
__device__ inline uint64_t MixedFloat(float x, int64_t index) {
  union {
    float number;
    uint32_t bits;
  } as = {x};
  const auto place = static_cast<uint64_t>(index);
  uint64_t z = (place << 32 | place >> 32) ^ as.bits;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

__global__ void HashKernel(int64_t count, bool four, const float* x, uint64_t* partials) {
  uint64_t sum = 0;
  ForPacks(count, four, [&](auto pack, int64_t at) {
    const auto values = Load<pack.kFloats>(x + at);
    for (int k = 0; k < pack.kFloats; ++k) sum += MixedFloat(values[k], at + k);
  });
  sum = BlockSum<kHashWarps>(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

// One block.
__global__ void ChainHashKernel(int count, const uint64_t* partials, uint64_t* hash) {
  uint64_t sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) sum += partials[i];
  sum = BlockSum<kHashWarps>(sum);
  if (threadIdx.x == 0) *hash = *hash * kHashChain + sum;
}

}  // namespace

Launched ChainHash(int64_t count, const float* x, uint64_t* partials, uint64_t* hash, Stream stream) {
  const unsigned wanted = PackBlocks(count);
  const unsigned blocks = wanted == 0 ? 1 : wanted < kHashPartials ? wanted : kHashPartials;
  const Launched first =
      Launch<HashKernel>({"ChainHash", blocks, kThreads, stream}, count, FourAtATime(x), x, partials);
  if (!first.ok()) return first;
  return Launch<ChainHashKernel>({"ChainHash", 1, kThreads, stream}, static_cast<int>(blocks), partials,
                                 hash);
}

}  // namespace lockstep::kernels::cuda
