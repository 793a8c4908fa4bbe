// Gradients of weights: for each node of the reduction tree the sum over its shards of leaf = a * b over the
// shard's real rows (kernels/shard_outer.h), of operands as product_tile.h has them.
#pragma once

#include "kernels/cuda/open_subtrees.h"
#include "kernels/cuda/product_tile.h"
#include "kernels/cuda/shard_tree.h"

namespace lockstep::kernels::cuda {

// Where the sums of a node go, dense (m, n).
struct OuterSums {
  float* out;
  int64_t node_stride;
  float* scratch;
  int64_t n, size;  // m n
  bool aligned;
};

// What a kernel adds to each leaf after its products: nothing.
struct NoLeafRows {
  template <class Tile>
  __device__ void AddTo(Tile&, const DeviceTree&, int) const {}
};

// A block takes its tile through all shards of all nodes. Open subtrees wait in memory, the largest one in
// `out`: a thread's own elements, which nobody else touches.
template <class Tile, class A, class B, class Rows>
__global__ void __launch_bounds__(kThreads)
    OuterTreeKernel(DeviceTree tree, A a, B b, Rows rows, OuterSums sums) {
  LOCKSTEP_SHARED(shared, typename Tile::Shared);
  Tile tile(shared, a, b, int64_t{blockIdx.x} * Tile::kSide, int64_t{blockIdx.y} * Tile::kSide);
  int shard = 0;
  for (int node = 0; node < tree.nodes; ++node) {
    float* const out = sums.out + node * sums.node_stride;
    const auto waiting = [&](int level) { return level == 0 ? out : sums.scratch + (level - 1) * sums.size; };
    const auto add_waiting = [&](int level) {
      tile.ForElements([&](int64_t row, int64_t column, int count, Pack<4>& leaf) {
        const auto before = LoadSome(waiting(level) + row * sums.n + column, count, sums.aligned);
        for (int i = 0; i < 4; ++i) leaf[i] = before[i] + leaf[i];
      });
    };
    int depth = 0;
    for (unsigned ordinal = 1; shard < tree.node_end[node]; ++shard, ++ordinal) {
      tile.Clear();
      tile.Multiply(tree.first(shard), tree.first(shard) + tree.count(shard));
      rows.AddTo(tile, tree, shard);
      for (unsigned left = ordinal; left % 2 == 0; left /= 2) add_waiting(--depth);
      if (shard + 1 == tree.node_end[node]) {
        while (depth > 0) add_waiting(--depth);
      }
      tile.ForElements([&](int64_t row, int64_t column, int count, const Pack<4>& leaf) {
        StoreSome(waiting(depth) + row * sums.n + column, leaf, count, sums.aligned);
      });
      ++depth;
    }
  }
}

// Where there are few tiles, a block for each of them and each shard, and the tree afterwards.
template <class Tile, class A, class B, class Rows>
__global__ void __launch_bounds__(kThreads)
    OuterLeafKernel(DeviceTree tree, A a, B b, Rows rows, OuterSums sums) {
  LOCKSTEP_SHARED(shared, typename Tile::Shared);
  Tile tile(shared, a, b, int64_t{blockIdx.x} * Tile::kSide, int64_t{blockIdx.y} * Tile::kSide);
  const int shard = static_cast<int>(blockIdx.z);
  tile.Clear();
  tile.Multiply(tree.first(shard), tree.first(shard) + tree.count(shard));
  rows.AddTo(tile, tree, shard);
  tile.ForElements([&](int64_t row, int64_t column, int count, const Pack<4>& leaf) {
    StoreSome(sums.scratch + shard * sums.size + row * sums.n + column, leaf, count, sums.aligned);
  });
}

template <class A>  // the operand: GCC 12 leaves out an instance that depends on nothing
__global__ void OuterLeavesKernel(DeviceTree tree, bool four, OuterSums sums) {
  ForPacks(sums.size, four, [=](auto pack, int64_t at) {
    OpenSubtrees<pack.kFloats> open;
    int shard = 0;
    for (int node = 0; node < tree.nodes; ++node) {
      for (unsigned ordinal = 1; shard < tree.node_end[node]; ++shard, ++ordinal) {
        open.Push(Load<pack.kFloats>(sums.scratch + shard * sums.size + at), ordinal);
      }
      Store(sums.out + node * sums.node_stride + at, open.Take());
    }
  });
}

// Floats of scratch; `shards` are local ones.
inline int64_t ShardProductScratch(int64_t m, int64_t n, int shards) {
  if (!FillsDevice(m, n, kSmallTile)) return shards * m * n;
  int waiting = 0;  // at once, at most
  while ((int64_t{2} << waiting) - 1 <= shards) ++waiting;
  return (waiting > 1 ? waiting - 1 : 0) * m * n;
}

// Node i's sums, dense (m, n), go to out + i * node_stride; m and n are the operands' lines, k the tree's
// rows.
template <template <int, class, class> class Tile, class A, class B, class Rows>
Launched SumShardProducts(const char* launcher, const DeviceTree& tree, const A& a, const B& b,
                          const Rows& rows, float* out, int64_t node_stride, float* scratch, Stream stream) {
  const int64_t m = a.extent, n = b.extent, size = m * n;
  if (size == 0 || tree.shards == 0) return {};
  OuterSums sums{out, node_stride, scratch, n, size, true};
  const bool four = FourAtATime(out, scratch) && node_stride % 4 == 0;
  sums.aligned = four && n % 4 == 0;
  if (FillsDevice(m, n, kLargeTile)) {
    return Launch<OuterTreeKernel<Tile<kLargeTile, A, B>, A, B, Rows>>(
        {launcher, TileGrid(m, n, kLargeTile), kThreads, stream}, tree, a, b, rows, sums);
  }
  dim3 grid = TileGrid(m, n, kSmallTile);
  if (FillsDevice(m, n, kSmallTile)) {
    return Launch<OuterTreeKernel<Tile<kSmallTile, A, B>, A, B, Rows>>({launcher, grid, kThreads, stream},
                                                                       tree, a, b, rows, sums);
  }
  grid.z = static_cast<unsigned>(tree.shards);
  const Launched launched = Launch<OuterLeafKernel<Tile<kSmallTile, A, B>, A, B, Rows>>(
      {launcher, grid, kThreads, stream}, tree, a, b, rows, sums);
  if (!launched.ok()) return launched;
  return Launch<OuterLeavesKernel<A>>({launcher, PackBlocks(size), kThreads, stream}, tree,
                                      four && size % 4 == 0, sums);
}

}  // namespace lockstep::kernels::cuda
