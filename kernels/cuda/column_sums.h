// Sums of a matrix's columns for each node of the reduction tree, as every gradient of a parameter that all
// rows share needs them: leaf_s = the sum over the real rows of shard s, then the tree
// (kernels/shard_outer.h).
//
// Two kernels: the first sums chunks of 32 rows of a shard, first row to last, the second adds a shard's
// chunks (eight interleaved chains, then these in order) and then the leaves. So a leaf's bits depend on its
// shard's rows alone, and no sum needs atomics.
//
// A Term says what is summed: kSums values for each row and column.
//   struct Term {
//     static constexpr int kSums = 2;
//     template <int kCount> __device__ void operator()(int64_t row, int64_t column, Pack<kCount>* sums)
//     const;
//   };
#pragma once

#include "kernels/cuda/open_subtrees.h"
#include "kernels/cuda/shard_tree.h"

namespace lockstep::kernels::cuda {

inline constexpr int kChunkRows = 32;

inline int64_t ChunksOfShard(const DeviceTree& tree) { return (tree.most() + kChunkRows - 1) / kChunkRows; }

// Floats of scratch for `sums` sums of `columns` columns.
inline int64_t ColumnSumScratch(const DeviceTree& tree, int64_t columns, int sums) {
  return tree.shards * ChunksOfShard(tree) * sums * columns;
}

template <int kSums>
struct ColumnOutputs {
  float* at[kSums];  // (nodes, columns), nodes node_stride apart; may be null
  int64_t node_stride;
};

template <class Term, int kCount>
__global__ void ChunkSumKernel(DeviceTree tree, int64_t chunks, int64_t columns, Term term, float* partials) {
  const int64_t item = blockIdx.x;
  const int shard = static_cast<int>(item / chunks);
  const int64_t column = (int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * kCount;
  const int64_t begin = item % chunks * kChunkRows, count = tree.count(shard);
  if (column >= columns || begin >= count) return;
  const int64_t end = begin + kChunkRows < count ? begin + kChunkRows : count;
  Pack<kCount> sums[Term::kSums] = {};
#pragma unroll 4
  for (int64_t row = tree.first(shard) + begin; row < tree.first(shard) + end; ++row) term(row, column, sums);
  for (int s = 0; s < Term::kSums; ++s)
    Store(partials + (item * Term::kSums + s) * columns + column, sums[s]);
}

template <int kSums>
__global__ void TreeSumKernel(DeviceTree tree, int64_t chunks, int64_t columns, const float* partials,
                              ColumnOutputs<kSums> out) {
  constexpr int kChains = kThreads / kWarp;
  LOCKSTEP_SHARED(of_chain, float[kChains][kWarp]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, chain = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t column = int64_t{blockIdx.x} * kWarp + lane;
  const int which = static_cast<int>(blockIdx.y);
  OpenSubtrees<1> open;
  int shard = 0;
  for (int node = 0; node < tree.nodes; ++node) {
    for (unsigned ordinal = 1; shard < tree.node_end[node]; ++shard, ++ordinal) {
      const int64_t used = (tree.count(shard) + kChunkRows - 1) / kChunkRows;
      float sum = 0;
      if (column < columns) {
#pragma unroll 4
        for (int64_t c = chain; c < used; c += kChains) {
          sum += partials[((shard * chunks + c) * kSums + which) * columns + column];
        }
      }
      of_chain[chain][lane] = sum;
      __syncthreads();
      if (chain == 0) {
        for (int other = 1; other < kChains; ++other) sum += of_chain[other][lane];
        open.Push({{sum}}, ordinal);
      }
      __syncthreads();  // of_chain has been read
    }
    if (chain == 0 && column < columns && out.at[which] != nullptr) {
      out.at[which][node * out.node_stride + column] = open.Take()[0];
    } else {
      open.Drop();
    }
  }
}

// `four`: everything that the term reads may be read four columns at a time. `scratch`: ColumnSumScratch
// floats.
template <class Term>
Launched SumColumns(const char* launcher, const DeviceTree& tree, int64_t columns, bool four,
                    const Term& term, const ColumnOutputs<Term::kSums>& out, float* scratch, Stream stream) {
  if (columns == 0 || tree.nodes == 0) return {};
  const int64_t chunks = ChunksOfShard(tree), items = tree.shards * chunks;
  if (items > 0) {
    four = four && columns % 4 == 0 && FourAtATime(scratch);
    const int64_t lanes = four ? columns / 4 : columns;
    const unsigned threads =
        static_cast<unsigned>(lanes < kThreads ? (lanes + kWarp - 1) / kWarp * kWarp : kThreads);
    const LaunchAt at{launcher, dim3(static_cast<unsigned>(items), Blocks(lanes, threads)), threads, stream};
    const Launched launched = four
                                  ? Launch<ChunkSumKernel<Term, 4>>(at, tree, chunks, columns, term, scratch)
                                  : Launch<ChunkSumKernel<Term, 1>>(at, tree, chunks, columns, term, scratch);
    if (!launched.ok()) return launched;
  }
  return Launch<TreeSumKernel<Term::kSums>>(
      {launcher, dim3(static_cast<unsigned>((columns + kWarp - 1) / kWarp), Term::kSums), kThreads, stream},
      tree, chunks, columns, static_cast<const float*>(scratch), out);
}

}  // namespace lockstep::kernels::cuda
