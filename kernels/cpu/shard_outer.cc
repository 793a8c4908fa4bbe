#include "kernels/shard_outer.h"

#include "kernels/cpu/variants.h"
#include "kernels/cpu/vector.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kTileVectors = 4;
constexpr int kTileRows =
    kLanes == 16 ? 4 : 2;  // 16 or 8 accumulators: enough to hide the latency of one FMA

struct Operands {
  const float* a;
  int64_t lda;
  const float* b;
  int64_t ldb;
  float* out;
  int64_t ldo;
  int64_t node_stride;
};

// One tile of kRows x (kVectors vectors) of every node: leaves in registers, the tree's open subtrees on a
// stack.
template <int kRows, int kVectors>
void VectorTile(const ShardTree& tree, const Operands& op, int64_t i, int64_t j) {
  Vector stack[kMaxTreeDepth][kRows][kVectors];
  int shard = 0;
  for (int node = 0; node < tree.nodes; ++node) {
    int depth = 0;
    for (unsigned leaf = 1; shard < tree.node_end[node]; ++shard, ++leaf) {
      Vector sum[kRows][kVectors];
      for (auto& row : sum) {
        for (auto& vector : row) vector = Splat(0.0f);
      }
      const float* a = op.a + int64_t{shard} * tree.rows_per_shard * op.lda + i;
      const float* b = op.b + int64_t{shard} * tree.rows_per_shard * op.ldb + j;
      for (int r = 0; r < tree.rows[shard]; ++r, a += op.lda, b += op.ldb) {
        Vector right[kVectors];
        for (int v = 0; v < kVectors; ++v) right[v] = Load(b + v * kLanes);
        for (int u = 0; u < kRows; ++u) {
          const Vector left = Splat(a[u]);
          for (int v = 0; v < kVectors; ++v) sum[u][v] = MultiplyAdd(left, right[v], sum[u][v]);
        }
      }
      for (unsigned count = leaf; count % 2 == 0; count /= 2) {
        --depth;
        for (int u = 0; u < kRows; ++u) {
          for (int v = 0; v < kVectors; ++v) sum[u][v] = Add(stack[depth][u][v], sum[u][v]);
        }
      }
      for (int u = 0; u < kRows; ++u) {
        for (int v = 0; v < kVectors; ++v) stack[depth][u][v] = sum[u][v];
      }
      ++depth;
    }
    for (; depth > 1; --depth) {
      for (int u = 0; u < kRows; ++u) {
        for (int v = 0; v < kVectors; ++v) {
          stack[depth - 2][u][v] = Add(stack[depth - 2][u][v], stack[depth - 1][u][v]);
        }
      }
    }
    float* out = op.out + node * op.node_stride + i * op.ldo + j;
    for (int u = 0; u < kRows; ++u) {
      for (int v = 0; v < kVectors; ++v) Store(out + u * op.ldo + v * kLanes, stack[0][u][v]);
    }
  }
}

// The same for one element; for what is narrower than a vector.
void ScalarTile(const ShardTree& tree, const Operands& op, int64_t i, int64_t j) {
  float stack[kMaxTreeDepth];
  int shard = 0;
  for (int node = 0; node < tree.nodes; ++node) {
    int depth = 0;
    for (unsigned leaf = 1; shard < tree.node_end[node]; ++shard, ++leaf) {
      float sum = 0;
      const float* a = op.a + int64_t{shard} * tree.rows_per_shard * op.lda + i;
      const float* b = op.b + int64_t{shard} * tree.rows_per_shard * op.ldb + j;
      for (int r = 0; r < tree.rows[shard]; ++r) sum = MultiplyAdd(a[r * op.lda], b[r * op.ldb], sum);
      for (unsigned count = leaf; count % 2 == 0; count /= 2) sum = stack[--depth] + sum;
      stack[depth++] = sum;
    }
    for (; depth > 1; --depth) stack[depth - 2] += stack[depth - 1];
    op.out[node * op.node_stride + i * op.ldo + j] = stack[0];
  }
}

template <int kRows>
void Strip(const ShardTree& tree, const Operands& op, int64_t i, int64_t n) {
  if (n < kLanes) {
    for (int u = 0; u < kRows; ++u) {
      for (int64_t j = 0; j < n; ++j) ScalarTile(tree, op, i + u, j);
    }
    return;
  }
  int64_t j = 0;
  for (; j + kTileVectors * kLanes <= n; j += kTileVectors * kLanes) {
    VectorTile<kRows, kTileVectors>(tree, op, i, j);
  }
  for (; j + kLanes <= n; j += kLanes) VectorTile<kRows, 1>(tree, op, i, j);
  // The last vector overlaps its neighbour: it writes the same bits again.
  if (j < n) VectorTile<kRows, 1>(tree, op, i, n - kLanes);
}

}  // namespace

void ShardOuterProduct(const ShardTree& tree, int64_t m, int64_t n, const float* a, int64_t lda,
                       const float* b, int64_t ldb, float* out, int64_t node_stride) {
  const Operands op{a, lda, b, ldb, out, n, node_stride};
  int64_t i = 0;
  for (; i + kTileRows <= m; i += kTileRows) Strip<kTileRows>(tree, op, i, n);
  for (; i < m; ++i) Strip<1>(tree, op, i, n);
}

void ShardColumnSum(const ShardTree& tree, int64_t n, const float* b, int64_t ldb, float* out,
                    int64_t node_stride) {
  const float one = 1.0f;
  const Operands op{&one, 0, b, ldb, out, n, node_stride};
  Strip<1>(tree, op, 0, n);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
