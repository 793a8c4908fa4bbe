// The blocks of a matrix product (kernels/gemm.h): panels of b for the second-level cache, panels of a for
// the first. `Packing` says how panels are filled, `Arithmetic` how they are multiplied.
#pragma once

#include "kernels/cpu/ahead.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/panel_tile.h"
#include "kernels/gemm.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int64_t kDepth = 256;  // steps of k in a block
constexpr int64_t kColumns = 512 / kTileColumns * kTileColumns;
constexpr int64_t kRows = 144 / kTileRows * kTileRows;
constexpr int64_t kPackedRows = 4;  // even, for pairs
static_assert(kDepth * (kColumns + kRows) <= kGemmScratch);

template <class Arithmetic, class Packing>
void GemmBlocks(const GemmArguments& g, float* scratch) {
  constexpr int64_t kBlock = kDepth * Arithmetic::kPer;  // of k
  float* const packed_b = scratch;
  float* const packed_a = scratch + kDepth * kColumns;
  const bool large = g.m * g.n >= kBeyondCache;
  for (int64_t j = 0; j < g.n; j += kColumns) {
    const int64_t n = Smaller(kColumns, g.n - j);
    for (int64_t p = 0; p < g.k; p += kBlock) {
      const int64_t k = Smaller(kBlock, g.k - p);
      const int64_t steps = Packing::Steps(k);
      if (g.b_transposed) {
        for (int64_t jr = 0; jr < n; jr += kTileColumns) {
          Packing::template Across<kTileColumns>(k, Smaller(kTileColumns, n - jr), g.b + (j + jr) * g.ldb + p,
                                                 g.ldb, packed_b + jr * steps);
        }
      } else {
        // A few rows of all panels at a time: memory is read in longer runs.
        for (int64_t q = 0; q < k; q += kPackedRows) {
          for (int64_t jr = 0; jr < n; jr += kTileColumns) {
            Packing::template Along<kTileColumns>(Smaller(kPackedRows, k - q), Smaller(kTileColumns, n - jr),
                                                  g.b + (p + q) * g.ldb + j + jr, g.ldb,
                                                  packed_b + jr * steps + Packing::Steps(q) * kTileColumns);
          }
        }
      }
      for (int64_t i = 0; i < g.m; i += kRows) {
        const int64_t m = Smaller(kRows, g.m - i);
        for (int64_t ir = 0; ir < m; ir += kTileRows) {
          Packing::template Across<kTileRows>(k, Smaller(kTileRows, m - ir), g.a + (i + ir) * g.lda + p,
                                              g.lda, packed_a + ir * steps);
        }
        for (int64_t jr = 0; jr < n; jr += kTileColumns) {
          const int columns = static_cast<int>(Smaller(kTileColumns, n - jr));
          for (int64_t ir = 0; ir < m; ir += kTileRows) {
            const int rows = static_cast<int>(Smaller(kTileRows, m - ir));
            float* c = g.c + (i + ir) * g.ldc + j + jr;
            if (large) FetchTile(c + rows * g.ldc, g.ldc, Smaller(kTileRows, m - ir - rows), columns);
            Tile tile;
            if (p > 0 || g.add) {
              LoadTile(c, g.ldc, rows, columns, tile);
            } else {
              Clear(tile);
            }
            Accumulate<Arithmetic>(steps, packed_a + ir * steps, packed_b + jr * steps, tile);
            StoreTile(tile, c, g.ldc, rows, columns);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
