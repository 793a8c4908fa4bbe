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
// In bf16 the operands are rounded while they are packed, as in kernels/gemm.h; a shard's odd last row is
// paired with zero. Shapes: a (shards * rows_per_shard, m) with row stride lda, b (shards * rows_per_shard,
// n) with row stride ldb; out + node * node_stride is (m, n), dense.
#pragma once

#include <cstdint>

#include "kernels/gemm.h"

namespace lockstep::kernels {

// The local shards and the tree nodes that they add up to, from left to right. A sample may be several rows
// of a matrix (the steps of a sequence): `positions` of them.
struct ShardTree {
  int rows_per_shard = 0;     // samples
  const int* rows = nullptr;  // real samples of each local shard
  int nodes = 0;
  const int* node_end = nullptr;  // node i covers local shards [node_end[i - 1], node_end[i])
  int positions = 1;

  int shards() const { return nodes == 0 ? 0 : node_end[nodes - 1]; }
  int64_t first(int shard) const { return int64_t{shard} * rows_per_shard * positions; }  // matrix row
  int64_t count(int shard) const { return int64_t{rows[shard]} * positions; }             // real matrix rows
};

inline constexpr int kMaxTreeDepth = 24;

// Rows to be added to some rows of each leaf, after its products: the gradient that an embedding adds to the
// output layer which shares its weights. For each matrix row r of a shard, leaf[tokens[r]][:] += values[r *
// ld ...], in the order of r.
struct LeafRows {
  const int32_t* tokens = nullptr;
  const int32_t* order =
      nullptr;  // the matrix rows of each shard (from tree.first on), sorted by (token, row)
  const float* values = nullptr;  // (matrix rows, n)
  int64_t ld = 0;
};

struct OuterProduct {
  int64_t m = 0, n = 0;
  const float* a = nullptr;
  int64_t lda = 0;
  const float* b = nullptr;
  int64_t ldb = 0;
  float* out = nullptr;
  int64_t node_stride = 0;
  // The part of (m, n) to compute; where it is cut changes no bit, at multiples of 16 no speed either.
  int64_t row_begin = 0, row_end = 0, column_begin = 0, column_end = 0;
  LeafRows add;
};

// Floats of scratch for one thread, 64-byte aligned; `rows` is the capacity, in matrix rows.
int64_t OuterProductScratch(int64_t rows);

namespace cpu {
void ShardOuterProduct(GemmType type, const ShardTree& tree, const OuterProduct& product, float* scratch);
// The bias gradient: the same with a = 1, for columns [begin, end).
void ShardColumnSum(const ShardTree& tree, int64_t begin, int64_t end, const float* b, int64_t ldb,
                    float* out, int64_t node_stride);
}  // namespace cpu

}  // namespace lockstep::kernels
