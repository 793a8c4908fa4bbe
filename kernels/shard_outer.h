// The weight gradient of a linear layer: one partial sum per logical shard, combined in the order of the
// reduction tree without ever leaving the cache.
//
//   leaf_s[i][j] = sum over the real rows r of shard s, first to last, of a[r][i] * b[r][j]
//   out_n        = the leaves of node n, added as common/numerics/reduction_tree.h says
//
// Each element of a leaf is one chain of fused multiply-adds from zero (multiply, then add, on processors
// without FMA), whatever the tile it was computed in: its bits depend on the shard's rows alone. A shard
// without rows is a leaf of zeros. The additions of a node are those of a binary counter over its leaves,
// which is the tree because a node starts at a multiple of its width.
//
// Shapes: a (shards * rows_per_shard, m) with row stride lda, b (shards * rows_per_shard, n) with row stride
// ldb; out + node * node_stride is (m, n), dense.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

// The local shards and the tree nodes that they add up to, from left to right.
struct ShardTree {
  int rows_per_shard = 0;
  const int* rows = nullptr;  // real rows of each local shard
  int nodes = 0;
  const int* node_end = nullptr;  // node i covers local shards [node_end[i - 1], node_end[i])
};

inline constexpr int kMaxTreeDepth = 24;

namespace cpu {
void ShardOuterProduct(const ShardTree& tree, int64_t m, int64_t n, const float* a, int64_t lda,
                       const float* b, int64_t ldb, float* out, int64_t node_stride);
// The bias gradient: the same with a = 1.
void ShardColumnSum(const ShardTree& tree, int64_t n, const float* b, int64_t ldb, float* out,
                    int64_t node_stride);
}  // namespace cpu

}  // namespace lockstep::kernels
