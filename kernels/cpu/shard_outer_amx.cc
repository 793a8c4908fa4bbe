// The weight gradients in bf16, for processors with AMX. Compiled for those instruction sets alone; the
// tiles' leaves are added in the order of the tree while they are in the first-level cache.
#include "kernels/cpu/ahead.h"
#include "kernels/cpu/pack_amx.h"
#include "kernels/cpu/variants.h"
#include "kernels/shard_outer.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int64_t kMostColumns = 1024;  // of a block of b: half a second-level cache with 256 rows

// The sum of `kSquares` leaves or subtrees, as the tree adds them: squares 0 and 1, 2 and 3, then both.
template <int kSquares>
inline __m512 TreeSum(const Square* squares, int i, int j) {
  const __m512 first = _mm512_load_ps(squares[0].at[i] + j);
  if constexpr (kSquares == 1) return first;
  const __m512 left = _mm512_add_ps(first, _mm512_load_ps(squares[1].at[i] + j));
  if constexpr (kSquares == 2) return left;
  return _mm512_add_ps(
      left, _mm512_add_ps(_mm512_load_ps(squares[2].at[i] + j), _mm512_load_ps(squares[3].at[i] + j)));
}

// squares[0] = their sum
template <int kSquares>
inline void AddSquares(Square* squares) {
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; j += 16) {
      _mm512_store_ps(squares[0].at[i] + j, TreeSum<kSquares>(squares, i, j));
    }
  }
}

// Writes their sum past the caches: whole lines, for a result that none of them keeps.
template <int kSquares>
inline void StreamSum(const Square* squares, float* c, int64_t ldc) {
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; j += 16) {
      _mm512_stream_ps(c + i * ldc + j, TreeSum<kSquares>(squares, i, j));
    }
  }
}

// The leaves of one node, summed in the order of its tree: four at a time, for each leaf is written to the
// first-level cache and that takes as long as it is multiplied.
class NodeSum {
 public:
  // The place of the next leaf.
  Square& Next() { return stack_[depth_]; }

  // It is there; the last of its node or not.
  void Join(bool last) {
    ++depth_;
    ++leaves_;
    if (leaves_ % 4 != 0 || (last && leaves_ == 4)) return;
    depth_ -= 3;
    AddSquares<4>(stack_ + depth_ - 1);
    for (unsigned fours = leaves_ / 4; fours % 2 == 0 && !(last && depth_ == 2); fours /= 2) {
      --depth_;
      AddSquares<2>(stack_ + depth_ - 1);
    }
  }

  // The sum, written out; `whole` lines where `streamed`.
  void Write(bool streamed, float* c, int64_t ldc, int64_t rows, int64_t columns) {
    if (leaves_ == 4 && streamed) return StreamSum<4>(stack_, c, ldc);
    if (leaves_ == 4) {
      AddSquares<4>(stack_);
      depth_ = 1;
    } else if (leaves_ % 4 == 3) {  // (first + second) + third
      AddSquares<2>(stack_ + depth_ - 3);
      stack_[depth_ - 2] = stack_[depth_ - 1];
      --depth_;
    }
    for (; depth_ > 2; --depth_) AddSquares<2>(stack_ + depth_ - 2);
    if (streamed && depth_ == 2) return StreamSum<2>(stack_, c, ldc);
    if (streamed) return StreamSum<1>(stack_, c, ldc);
    if (depth_ == 2) AddSquares<2>(stack_);
    CopyOut(stack_[0], c, ldc, rows, columns);
  }

 private:
  Square stack_[kMaxTreeDepth + 3];
  int depth_ = 0;
  unsigned leaves_ = 0;
};

// The first of `rows` that has a token of at least `token`, among a shard's in `order`.
int64_t FirstWith(const LeafRows& add, const int32_t* order, int64_t rows, int64_t token) {
  int64_t low = 0, high = rows;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (add.tokens[order[middle]] < token) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// What `add` contributes to rows [i, i + rows) and columns [j, j + columns) of this shard's leaf.
void AddLeafRows(const ShardTree& tree, int shard, const LeafRows& add, int64_t i, int64_t rows, int64_t j,
                 int64_t columns, Square& leaf) {
  const int32_t* order = add.order + tree.first(shard);
  for (int64_t at = FirstWith(add, order, tree.count(shard), i); at < tree.count(shard); ++at) {
    const int64_t row = add.tokens[order[at]] - i;
    if (row >= rows) return;
    const float* values = add.values + order[at] * add.ld + j;
    for (int64_t c = 0; c < columns; ++c) leaf.at[row][c] += values[c];
  }
}

}  // namespace

void ShardOuterProduct(const ShardTree& tree, const OuterProduct& product, float* scratch) {
  const TileRegisters registers;
  const int shards = tree.shards();
  int64_t steps = 0;  // of all shards
  for (int s = 0; s < shards; ++s) steps += Steps(tree.count(s));
  const int64_t panel = steps * kPanelStep;
  // a is packed anew for each block of b.
  int64_t block_columns =
      steps == 0 ? kMostColumns : Smaller(kMostColumns, 131072 / (steps * kPairs)) / kSide * kSide;
  if (block_columns < kSide) block_columns = kSide;
  float* const packed_a = scratch;
  float* const packed_b = scratch + 3 * panel;
  const bool large =
      (product.row_end - product.row_begin) * (product.column_end - product.column_begin) >= kBeyondCache;
  for (int64_t j = product.column_begin; j < product.column_end; j += block_columns) {
    const int64_t n = Smaller(block_columns, product.column_end - j);
    float* out = packed_b;
    for (int64_t jr = 0; jr < n; jr += kSide) {
      for (int s = 0; s < shards; ++s) {
        PackAlong(tree.count(s), Smaller(kSide, n - jr), product.b + tree.first(s) * product.ldb + j + jr,
                  product.ldb, out);
        out += Steps(tree.count(s)) * kPanelStep;
      }
    }
    for (int64_t i = product.row_begin; i < product.row_end; i += 3 * kSide) {
      const int64_t m = Smaller(3 * kSide, product.row_end - i);
      out = packed_a;
      for (int64_t ir = 0; ir < m; ir += kSide) {
        for (int s = 0; s < shards; ++s) {
          PackColumns(tree.count(s), Smaller(kSide, m - ir), product.a + tree.first(s) * product.lda + i + ir,
                      product.lda, out);
          out += Steps(tree.count(s)) * kPanelStep;
        }
      }
      for (int64_t jr = 0; jr < n; jr += kSide) {
        const int64_t columns = Smaller(kSide, n - jr);
        for (int64_t ir = 0; ir < m; ir += kSide) {
          const int64_t rows = Smaller(kSide, m - ir);
          const float* a = packed_a + ir / kSide * panel;
          const float* b = packed_b + jr / kSide * panel;
          int shard = 0;
          for (int node = 0; node < tree.nodes; ++node) {
            float* const c = product.out + node * product.node_stride + (i + ir) * product.n + j + jr;
            const bool streamed =
                large && rows == kSide && columns == kSide && WholeLines(c, product.n, columns);
            if (large && !streamed) FetchTile(c, product.n, rows, columns);
            NodeSum sum;
            for (; shard < tree.node_end[node]; ++shard) {
              const int64_t own = Steps(tree.count(shard));
              ClearAccumulators();
              AccumulateTiles(own, a, b);
              a += own * kPanelStep;
              b += own * kPanelStep;
              StoreAccumulators(sum.Next().at[0], kSide);
              if (product.add.order != nullptr) {
                AddLeafRows(tree, shard, product.add, i + ir, rows, j + jr, columns, sum.Next());
              }
              sum.Join(shard + 1 == tree.node_end[node]);
            }
            sum.Write(streamed, c, product.n, rows, columns);
          }
        }
      }
    }
  }
  if (large) _mm_sfence();
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
