// The matrix products in bf16, for processors with AMX. Compiled for those instruction sets alone; the blocks
// are those of gemm_block.h and shard_outer_tiles.h, with tiles of 32 x 32.
#include "kernels/cpu/ahead.h"
#include "kernels/cpu/amx_tile.h"
#include "kernels/cpu/pack_bf16.h"
#include "kernels/cpu/variants.h"
#include "kernels/shard_outer.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline int64_t Smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t Steps(int64_t k) { return (k + 2 * kPairs - 1) / (2 * kPairs); }  // of a panel

// Panel of b from (k, width).
void PackAlong(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
  for (int64_t p = 0; p < Steps(k) * 2 * kPairs; p += 2, out += kSide) {
    const float* rows = in + p * ld;
    _mm512_storeu_si512(out, PairsOfRows(rows, ld, k - p, width));
    _mm512_storeu_si512(out + 16, PairsOfRows(rows + 16, ld, k - p, width - 16));
  }
}

// Panel of b from (width, k).
void PackAcross(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
  for (int64_t p = 0; p < k; p += 2 * kPairs, out += kPanelStep) {
    for (int half = 0; half < kSide; half += 16) {
      __m512i words[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        words[i] = half + i < width ? PairsOfRow(in + (half + i) * ld + p, k - p) : _mm512_setzero_si512();
      }
      Transpose16(words);
#pragma GCC unroll 16
      for (int q = 0; q < 16; ++q) _mm512_storeu_si512(out + q * kSide + half, words[q]);
    }
  }
}

// Panel of a from (rows, k).
void PackRows(int64_t k, int64_t rows, const float* in, int64_t ld, float* out) {
  for (int64_t p = 0; p < k; p += 2 * kPairs, out += kPanelStep) {
    for (int i = 0; i < kSide; ++i) {
      _mm512_storeu_si512(out + i * kPairs,
                          i < rows ? PairsOfRow(in + i * ld + p, k - p) : _mm512_setzero_si512());
    }
  }
}

// Panel of a from (k, rows).
void PackColumns(int64_t k, int64_t rows, const float* in, int64_t ld, float* out) {
  for (int64_t p = 0; p < k; p += 2 * kPairs, out += kPanelStep) {
    for (int half = 0; half < kSide; half += 16) {
      __m512i words[16];
#pragma GCC unroll 16
      for (int q = 0; q < 16; ++q) {
        words[q] = PairsOfRows(in + (p + 2 * q) * ld + half, ld, k - p - 2 * q, rows - half);
      }
      Transpose16(words);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + (half + i) * kPairs, words[i]);
    }
  }
}

// Copies the part of a square that lies inside a matrix.
inline void CopyIn(const float* c, int64_t ldc, int64_t rows, int64_t columns, Square& square) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) square.at[i][j] = c[i * ldc + j];
  }
}
inline void CopyOut(const Square& square, float* c, int64_t ldc, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i) {
    if (columns == kSide) {
      _mm512_storeu_ps(c + i * ldc, _mm512_load_ps(square.at[i]));
      _mm512_storeu_ps(c + i * ldc + 16, _mm512_load_ps(square.at[i] + 16));
    } else {
      for (int64_t j = 0; j < columns; ++j) c[i * ldc + j] = square.at[i][j];
    }
  }
}

// right = left + right
inline void AddSquares(const Square& left, Square& right) {
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; j += 16) {
      _mm512_store_ps(right.at[i] + j,
                      _mm512_add_ps(_mm512_load_ps(left.at[i] + j), _mm512_load_ps(right.at[i] + j)));
    }
  }
}

void MultiplyTile(int64_t steps, const float* a, const float* b, bool add, float* c, int64_t ldc,
                  int64_t rows, int64_t columns) {
  const bool whole = rows == kSide && columns == kSide;
  Square edge;
  if (!add) {
    ClearAccumulators();
  } else if (whole) {
    LoadAccumulators(c, ldc);
  } else {
    edge = {};
    CopyIn(c, ldc, rows, columns, edge);
    asm volatile("" ::: "memory");  // as in AccumulateTiles
    LoadAccumulators(edge.at[0], kSide);
  }
  AccumulateTiles(steps, a, b);
  if (whole) {
    StoreAccumulators(c, ldc);
  } else {
    StoreAccumulators(edge.at[0], kSide);
    CopyOut(edge, c, ldc, rows, columns);
  }
}

constexpr int64_t kBlock = 512;    // of k
constexpr int64_t kColumns = 512;  // of b, packed for the second-level cache
constexpr int64_t kRows = 128;
static_assert((kColumns + kRows) * kBlock / 2 <= kGemmScratch);

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

void Gemm(const GemmArguments& g, float* scratch) {
  const TileRegisters registers;
  float* const packed_b = scratch;
  float* const packed_a = scratch + kColumns * kBlock / 2;
  const bool large = g.m * g.n >= kBeyondCache;
  for (int64_t j = 0; j < g.n; j += kColumns) {
    const int64_t n = Smaller(kColumns, g.n - j);
    for (int64_t p = 0; p < g.k; p += kBlock) {
      const int64_t k = Smaller(kBlock, g.k - p), panel = Steps(k) * kPanelStep;
      if (g.b_transposed) {
        for (int64_t jr = 0; jr < n; jr += kSide) {
          PackAcross(k, Smaller(kSide, n - jr), g.b + (j + jr) * g.ldb + p, g.ldb,
                     packed_b + jr / kSide * panel);
        }
      } else {
        // A few rows of all panels at a time: memory is read in longer runs.
        for (int64_t q = 0; q < k; q += 2 * kPairs) {
          for (int64_t jr = 0; jr < n; jr += kSide) {
            PackAlong(Smaller(2 * kPairs, k - q), Smaller(kSide, n - jr), g.b + (p + q) * g.ldb + j + jr,
                      g.ldb, packed_b + jr / kSide * panel + Steps(q) * kPanelStep);
          }
        }
      }
      for (int64_t i = 0; i < g.m; i += kRows) {
        const int64_t m = Smaller(kRows, g.m - i);
        for (int64_t ir = 0; ir < m; ir += kSide) {
          PackRows(k, Smaller(kSide, m - ir), g.a + (i + ir) * g.lda + p, g.lda,
                   packed_a + ir / kSide * panel);
        }
        for (int64_t jr = 0; jr < n; jr += kSide) {
          for (int64_t ir = 0; ir < m; ir += kSide) {
            float* const c = g.c + (i + ir) * g.ldc + j + jr;
            if (large)
              FetchTile(c + kSide * g.ldc, g.ldc, Smaller(kSide, m - ir - kSide), Smaller(kSide, n - jr));
            MultiplyTile(Steps(k), packed_a + ir / kSide * panel, packed_b + jr / kSide * panel,
                         p > 0 || g.add, c, g.ldc, Smaller(kSide, m - ir), Smaller(kSide, n - jr));
          }
        }
      }
    }
  }
}

void ShardOuterProduct(const ShardTree& tree, const OuterProduct& product, float* scratch) {
  const TileRegisters registers;
  const int shards = tree.shards();
  int64_t steps = 0;  // of all shards
  for (int s = 0; s < shards; ++s) steps += Steps(tree.count(s));
  const int64_t panel = steps * kPanelStep;
  int64_t block_columns = steps == 0 ? 512 : Smaller(512, 131072 / (steps * kPairs)) / kSide * kSide;
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
          Square stack[kMaxTreeDepth];
          int shard = 0;
          for (int node = 0; node < tree.nodes; ++node) {
            float* const sum = product.out + node * product.node_stride + (i + ir) * product.n + j + jr;
            if (large) FetchTile(sum, product.n, rows, columns);
            int depth = 0;
            for (unsigned leaf = 1; shard < tree.node_end[node]; ++shard, ++leaf) {
              const int64_t own = Steps(tree.count(shard));
              ClearAccumulators();
              AccumulateTiles(own, a, b);
              a += own * kPanelStep;
              b += own * kPanelStep;
              StoreAccumulators(stack[depth].at[0], kSide);
              if (product.add.order != nullptr) {
                AddLeafRows(tree, shard, product.add, i + ir, rows, j + jr, columns, stack[depth]);
              }
              ++depth;
              for (unsigned count = leaf; count % 2 == 0; count /= 2, --depth) {
                AddSquares(stack[depth - 1], stack[depth - 2]);
              }
            }
            for (; depth > 1; --depth) AddSquares(stack[depth - 1], stack[depth - 2]);
            CopyOut(stack[0], sum, product.n, rows, columns);
          }
        }
      }
    }
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
