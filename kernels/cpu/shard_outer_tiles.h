// The tiles of a shard outer product: each is computed for every shard from packed panels, and its leaves are
// added in the order of the tree while they are in the first-level cache. `Packing` says how panels are
// filled, `Arithmetic` how multiplied.
#pragma once

#include "kernels/cpu/ahead.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/panel_tile.h"
#include "kernels/shard_outer.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int64_t kOuterRows = 96 / kTileRows * kTileRows;

inline void AddTiles(const Tile& left, Tile& right) {
#pragma GCC unroll 12
  for (int i = 0; i < kTileRows; ++i) {
    right.at[i][0] = Add(left.at[i][0], right.at[i][0]);
    right.at[i][1] = Add(left.at[i][1], right.at[i][1]);
  }
}

// What `add` contributes to rows [i, i + rows) and columns [j, j + columns) of this shard's leaf.
inline void AddLeafRows(const ShardTree& tree, int shard, const LeafRows& add, int64_t i, int rows, int64_t j,
                        int columns, Tile& tile) {
  const int32_t* begin = add.order + tree.first(shard);
  int64_t low = 0, high = tree.count(shard);
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (add.tokens[begin[middle]] < i) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (; low < tree.count(shard) && add.tokens[begin[low]] < i + rows; ++low) {
    const int row = static_cast<int>(add.tokens[begin[low]] - i);
    Tile more;
    LoadTile(add.values + begin[low] * add.ld + j, add.ld, 1, columns, more);
    tile.at[row][0] = Add(tile.at[row][0], more.at[0][0]);
    tile.at[row][1] = Add(tile.at[row][1], more.at[0][1]);
  }
}

// Columns [0, width) of every shard's real rows, as panels of `steps` steps. Some rows of all panels at a
// time: a line is read once, also where the rows' distance lets few of them stay in the first-level cache.
template <int kWidth, class Packing>
inline void PackShards(const ShardTree& tree, int64_t width, const float* in, int64_t ld, int64_t steps,
                       float* out) {
  constexpr int64_t kAtOnce = 4;  // even, for pairs
  for (int s = 0; s < tree.shards(); ++s) {
    const float* rows = in + tree.first(s) * ld;
    for (int64_t r = 0; r < tree.count(s); r += kAtOnce, rows += kAtOnce * ld) {
      const int64_t count = Smaller(kAtOnce, tree.count(s) - r);
      for (int64_t c = 0; c < width; c += kWidth) {
        Packing::template Along<kWidth>(count, Smaller(kWidth, width - c), rows + c, ld, out + c * steps);
      }
      out += Packing::Steps(count) * kWidth;
    }
  }
}

template <class Arithmetic, class Packing>
void OuterProductTiles(const ShardTree& tree, const OuterProduct& product, float* scratch) {
  const int shards = tree.shards();
  int64_t steps = 0;  // of all shards
  for (int s = 0; s < shards; ++s) steps += Packing::Steps(tree.count(s));
  if (steps == 0) steps = 1;
  int64_t block_columns = Smaller(512, 131072 / steps) / kTileColumns * kTileColumns;
  if (block_columns < kTileColumns) block_columns = kTileColumns;
  float* const packed_a = scratch;
  float* const packed_b = scratch + (steps * kOuterRows + 15) / 16 * 16;

  const bool large =
      (product.row_end - product.row_begin) * (product.column_end - product.column_begin) >= kBeyondCache;
  for (int64_t j = product.column_begin; j < product.column_end; j += block_columns) {
    const int64_t n = Smaller(block_columns, product.column_end - j);
    PackShards<kTileColumns, Packing>(tree, n, product.b + j, product.ldb, steps, packed_b);
    for (int64_t i = product.row_begin; i < product.row_end; i += kOuterRows) {
      const int64_t m = Smaller(kOuterRows, product.row_end - i);
      PackShards<kTileRows, Packing>(tree, m, product.a + i, product.lda, steps, packed_a);
      const int64_t after = i + kOuterRows < product.row_end ? i + kOuterRows : product.row_begin;
      const int64_t tiles = ((n + kTileColumns - 1) / kTileColumns) * ((m + kTileRows - 1) / kTileRows);
      Ahead next;
      if (large) {
        next = Ahead(product.a + after, tree.first(shards), Smaller(kOuterRows, product.row_end - after),
                     product.lda, tiles);
      }
      for (int64_t jr = 0; jr < n; jr += kTileColumns) {
        const int columns = static_cast<int>(Smaller(kTileColumns, n - jr));
        for (int64_t ir = 0; ir < m; ir += kTileRows) {
          const int rows = static_cast<int>(Smaller(kTileRows, m - ir));
          const float* a = packed_a + ir * steps;
          const float* b = packed_b + jr * steps;
          Tile stack[kMaxTreeDepth];
          int shard = 0;
          next.Fetch();
          for (int node = 0; node < tree.nodes; ++node) {
            float* const out = product.out + node * product.node_stride + (i + ir) * product.n + j + jr;
            const bool streamed = large && columns == kTileColumns && WholeLines(out, product.n, columns);
            if (large && !streamed) FetchTile(out, product.n, rows, columns);
            int depth = 0;
            for (unsigned leaf = 1; shard < tree.node_end[node]; ++shard, ++leaf) {
              const int64_t k = Packing::Steps(tree.count(shard));
              const bool joins = leaf % 2 == 0;
              Tile& sum = stack[joins ? depth - 1 : depth];  // of the subtree that ends here
              if (product.add.order == nullptr) {
                Product<Arithmetic>(k, a, b, joins ? &sum : nullptr, sum);
              } else {
                Tile leaf_sum;
                Product<Arithmetic>(k, a, b, nullptr, leaf_sum);
                AddLeafRows(tree, shard, product.add, i + ir, rows, j + jr, columns, leaf_sum);
                if (joins) AddTiles(sum, leaf_sum);
                sum = leaf_sum;
              }
              a += k * kTileRows;
              b += k * kTileColumns;
              if (!joins) ++depth;
              for (unsigned count = leaf / 2; joins && count % 2 == 0; count /= 2, --depth) {
                Tile right = stack[depth - 1];
                AddTiles(stack[depth - 2], right);
                stack[depth - 2] = right;
              }
            }
            for (; depth > 1; --depth) {
              Tile sum = stack[depth - 1];
              AddTiles(stack[depth - 2], sum);
              stack[depth - 2] = sum;
            }
            if (streamed) {
              StreamTile(stack[0], out, product.n, rows);
            } else {
              StoreTile(stack[0], out, product.n, rows, columns);
            }
          }
        }
      }
    }
  }
  if (large) _mm_sfence();
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
