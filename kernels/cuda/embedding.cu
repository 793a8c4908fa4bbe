#include "kernels/cuda/embedding.h"
#include "kernels/cuda/open_subtrees.h"

namespace lockstep::kernels::cuda {
namespace {

template <int kCount>
__global__ void EmbeddingKernel(int64_t places, int64_t steps, int64_t width, const int32_t* tokens,
                                const float* table, const float* positions, float* y) {
  const int64_t packs = width / kCount;
  for (int64_t i = FirstItem(); i < places * packs; i += ItemStride()) {
    const int64_t place = i / packs, column = i % packs * kCount;
    auto pack = Load<kCount>(table + tokens[place] * width + column);
    if (positions != nullptr) {
      const auto position = Load<kCount>(positions + place % steps * width + column);
      for (int k = 0; k < kCount; ++k) pack[k] += position[k];
    }
    Store(y + i * kCount, pack);
  }
}

// The first index in [begin, end) whose place is at least `bound`.
__device__ inline int32_t FirstAtLeast(const int32_t* place, int32_t begin, int32_t end, int64_t bound) {
  while (begin < end) {
    const int32_t middle = begin + (end - begin) / 2;
    if (place[middle] < bound) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

// A block sums 32 packs of columns of one bucket; its warps are the chains.
template <int kCount>
__global__ void EmbeddingBackwardKernel(DeviceTree tree, TokenBuckets buckets, int64_t width, const float* dy,
                                        float* dtable, int64_t node_stride) {
  constexpr int kChains = kThreads / kWarp;
  LOCKSTEP_SHARED(of_chain, Pack<kCount>[kChains][kWarp]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, chain = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t bucket = blockIdx.x, column = (int64_t{blockIdx.y} * kWarp + lane) * kCount;
  const bool mine = column < width;
  int32_t begin = buckets.begin[bucket];
  const int32_t last = buckets.begin[bucket + 1];
  if (begin == last) return;
  float* const row = dtable + buckets.token[bucket] * width + column;
  OpenSubtrees<kCount> open;
  int shard = 0;
  for (int node = 0; node < tree.nodes; ++node) {
    for (unsigned ordinal = 1; shard < tree.node_end[node]; ++shard, ++ordinal) {
      const int32_t end = FirstAtLeast(buckets.place, begin, last, tree.first(shard + 1));
      Pack<kCount> sum = {};
      if (begin < end) {  // the same for all threads
        if (mine) {
#pragma unroll 4
          for (int32_t i = begin + chain; i < end; i += kChains) {
            const auto from = Load<kCount>(dy + buckets.place[i] * width + column);
            for (int k = 0; k < kCount; ++k) sum[k] += from[k];
          }
        }
        of_chain[chain][lane] = sum;
        __syncthreads();
        for (int other = 1; other < kChains && chain == 0; ++other) {
          for (int k = 0; k < kCount; ++k) sum[k] += of_chain[other][lane][k];
        }
        __syncthreads();  // of_chain has been read
      }
      if (chain == 0) open.Push(sum, ordinal);
      begin = end;
    }
    if (chain == 0) {
      const auto sum = open.Take();
      if (mine) Store(row + node * node_stride, sum);
    }
  }
}

template <int kCount>
Launched LaunchBackward(const DeviceTree& tree, const TokenBuckets& buckets, int64_t width, const float* dy,
                        float* dtable, int64_t node_stride, Stream stream) {
  const dim3 blocks(static_cast<unsigned>(buckets.count), Blocks(width, kWarp * kCount));
  return Launch<EmbeddingBackwardKernel<kCount>>({"EmbeddingBackward", blocks, kThreads, stream}, tree,
                                                 buckets, width, dy, dtable, node_stride);
}

}  // namespace

Launched EmbeddingForward(int64_t rows, int64_t steps, int64_t width, const int32_t* tokens,
                          const float* table, const float* positions, float* y, Stream stream) {
  const int64_t places = rows * steps;
  if (places * width == 0) return {};
  if (width % 4 == 0 && FourAtATime(table, positions, y)) {
    return Launch<EmbeddingKernel<4>>({"EmbeddingForward", PackBlocks(places * width), kThreads, stream},
                                      places, steps, width, tokens, table, positions, y);
  }
  return Launch<EmbeddingKernel<1>>({"EmbeddingForward", Blocks(places * width), kThreads, stream}, places,
                                    steps, width, tokens, table, positions, y);
}

Launched EmbeddingBackward(const DeviceTree& tree, const TokenBuckets& buckets, int64_t width,
                           const float* dy, float* dtable, int64_t node_stride, Stream stream) {
  if (buckets.count * width == 0) return {};
  if (width % 4 == 0 && node_stride % 4 == 0 && FourAtATime(dy, dtable)) {
    return LaunchBackward<4>(tree, buckets, width, dy, dtable, node_stride, stream);
  }
  return LaunchBackward<1>(tree, buckets, width, dy, dtable, node_stride, stream);
}

}  // namespace lockstep::kernels::cuda
