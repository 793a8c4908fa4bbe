#include "kernels/shard_outer.h"

#include "kernels/cpu/pack.h"
#include "kernels/cpu/shard_outer_tiles.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// kVectors neighbouring columns of every node: leaves in registers, the tree's open subtrees on a stack.
template <int kVectors>
void ColumnTile(const ShardTree& tree, const float* b, int64_t ldb, float* out, int64_t node_stride) {
  Vector stack[kMaxTreeDepth][kVectors];
  int shard = 0;
  for (int node = 0; node < tree.nodes; ++node) {
    int depth = 0;
    for (unsigned leaf = 1; shard < tree.node_end[node]; ++shard, ++leaf) {
      Vector sum[kVectors];
      for (auto& vector : sum) vector = Splat(0.0f);
      const float* from = b + tree.first(shard) * ldb;
      const int64_t rows = tree.count(shard);
      for (int64_t r = 0; r < rows; ++r, from += ldb) {
        for (int v = 0; v < kVectors; ++v) sum[v] = Add(sum[v], Load(from + v * kLanes));
      }
      for (unsigned count = leaf; count % 2 == 0; count /= 2) {
        --depth;
        for (int v = 0; v < kVectors; ++v) sum[v] = Add(stack[depth][v], sum[v]);
      }
      for (int v = 0; v < kVectors; ++v) stack[depth][v] = sum[v];
      ++depth;
    }
    for (; depth > 1; --depth) {
      for (int v = 0; v < kVectors; ++v) stack[depth - 2][v] = Add(stack[depth - 2][v], stack[depth - 1][v]);
    }
    for (int v = 0; v < kVectors; ++v) Store(out + node * node_stride + v * kLanes, stack[0][v]);
  }
}

// The same for one column; for what is narrower than a vector.
void OneColumn(const ShardTree& tree, const float* b, int64_t ldb, float* out, int64_t node_stride) {
  float stack[kMaxTreeDepth];
  int shard = 0;
  for (int node = 0; node < tree.nodes; ++node) {
    int depth = 0;
    for (unsigned leaf = 1; shard < tree.node_end[node]; ++shard, ++leaf) {
      float sum = 0;
      const float* from = b + tree.first(shard) * ldb;
      const int64_t rows = tree.count(shard);
      for (int64_t r = 0; r < rows; ++r) sum += from[r * ldb];
      for (unsigned count = leaf; count % 2 == 0; count /= 2) sum = stack[--depth] + sum;
      stack[depth++] = sum;
    }
    for (; depth > 1; --depth) stack[depth - 2] += stack[depth - 1];
    out[node * node_stride] = stack[0];
  }
}

}  // namespace

void ShardOuterProductFp32(const ShardTree& tree, const OuterProduct& product, float* scratch) {
  OuterProductTiles<Fp32, PackFp32>(tree, product, scratch);
}

void ShardColumnSum(const ShardTree& tree, int64_t begin, int64_t end, const float* b, int64_t ldb,
                    float* out, int64_t node_stride) {
  int64_t j = begin;
  for (; j + 4 * kLanes <= end; j += 4 * kLanes) ColumnTile<4>(tree, b + j, ldb, out + j, node_stride);
  for (; j + kLanes <= end; j += kLanes) ColumnTile<1>(tree, b + j, ldb, out + j, node_stride);
  for (; j < end; ++j) OneColumn(tree, b + j, ldb, out + j, node_stride);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
