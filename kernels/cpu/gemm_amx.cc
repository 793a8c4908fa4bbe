// The matrix products in bf16, for processors with AMX. Compiled for those instruction sets alone.
#include "kernels/cpu/ahead.h"
#include "kernels/cpu/pack_amx.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

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

// The blocks of one product. Memory is read in runs as long as b's layout allows, for the processor's own
// prefetching: with fetches of ours the tiles' loads waited (both use the fill buffers). Where all rows of a
// fit beside a block of b, they are packed once.
class Blocks {
 public:
  Blocks(const GemmArguments& g, float* scratch) : g_(g), packed_a_(scratch) {
    depth_ = !g.b_transposed ? 256 : g.k <= 1024 ? g.k : 512;
    columns_ = g.b_transposed ? 128 : 512;
    const int64_t panels = (g.m + kSide - 1) / kSide * kPanelStep;
    if (panels * Steps(g.k) <= kPackedA) {
      packed_k_ = g.k;
    } else if (panels * Steps(depth_) <= kPackedA && g.m * g.n <= kBeyondCache) {
      packed_k_ = depth_;
    }
    packed_b_ = packed_a_ + kPackedA;
  }

  void Multiply() {
    if (packed_k_ == g_.k) PackA(0, g_.m, 0, g_.k);
    if (packed_k_ == g_.k || packed_k_ == 0) {
      for (int64_t j = 0; j < g_.n; j += columns_) {
        for (int64_t p = 0; p < g_.k; p += depth_) Block(p, j);
      }
      return;
    }
    for (int64_t p = 0; p < g_.k; p += depth_) {
      PackA(0, g_.m, p, Smaller(depth_, g_.k - p));
      for (int64_t j = 0; j < g_.n; j += columns_) Block(p, j);
    }
  }

 private:
  static constexpr int64_t kPackedA = 98304;  // words: 256 rows of 768
  static constexpr int64_t kPackedB = 65536;
  static constexpr int64_t kAtOnce = 256;  // of k: panels of 16 KiB, two of them in the first-level cache
  static constexpr int64_t kRows = 128;    // of a at a time, where not all are packed
  static_assert(kPackedA + kPackedB <= kGemmScratch);

  void PackA(int64_t i, int64_t m, int64_t p, int64_t k) {
    for (int64_t ir = 0; ir < m; ir += kSide) {
      PackRows(k, Smaller(kSide, m - ir), g_.a + (i + ir) * g_.lda + p, g_.lda,
               packed_a_ + ir / kSide * Steps(k) * kPanelStep);
    }
  }

  template <class Value>
  void PackB(const Value* b, int64_t p, int64_t k, int64_t j, int64_t n) {
    const int64_t panel = Steps(k) * kPanelStep;
    if (g_.b_transposed) {
      for (int64_t jr = 0; jr < n; jr += kSide) {
        PackAcross(k, Smaller(kSide, n - jr), b + (j + jr) * g_.ldb + p, g_.ldb,
                   packed_b_ + jr / kSide * panel);
      }
      return;
    }
    for (int64_t q = 0; q < Steps(k) * 2 * kPairs; q += 2) {
      for (int64_t jr = 0; jr < n; jr += kSide) {
        PackPair(k - q, Smaller(kSide, n - jr), b + (p + q) * g_.ldb + j + jr, g_.ldb,
                 packed_b_ + jr / kSide * panel + q / 2 * kSide);
      }
    }
  }

  void Block(int64_t p, int64_t j) {
    const int64_t k = Smaller(depth_, g_.k - p), n = Smaller(columns_, g_.n - j);
    if (g_.b_rounded != nullptr) {
      PackB(g_.b_rounded, p, k, j, n);
    } else {
      PackB(g_.b, p, k, j, n);
    }
    const int64_t panel_a = Steps(packed_k_ == g_.k ? g_.k : k) * kPanelStep;
    const int64_t before = packed_k_ == g_.k ? Steps(p) * kPanelStep : 0;  // of a panel of a: other blocks'
    const int64_t panel_b = Steps(k) * kPanelStep;
    const bool large = g_.m * g_.n >= kBeyondCache;
    for (int64_t i = 0; i < g_.m; i += kRows) {
      const int64_t m = Smaller(kRows, g_.m - i);
      if (packed_k_ == 0) PackA(i, m, p, k);
      const float* const a = packed_a_ + (packed_k_ == 0 ? 0 : i / kSide * panel_a) + before;
      for (int64_t q = 0; q < k; q += kAtOnce) {
        const int64_t steps = Steps(Smaller(kAtOnce, k - q)), skipped = Steps(q) * kPanelStep;
        for (int64_t jr = 0; jr < n; jr += kSide) {
          for (int64_t ir = 0; ir < m; ir += kSide) {
            float* const c = g_.c + (i + ir) * g_.ldc + j + jr;
            if (large && q == 0) {
              FetchTile(c + kSide * g_.ldc, g_.ldc, Smaller(kSide, m - ir - kSide), Smaller(kSide, n - jr));
            }
            MultiplyTile(steps, a + ir / kSide * panel_a + skipped,
                         packed_b_ + jr / kSide * panel_b + skipped, p + q > 0 || g_.add, c, g_.ldc,
                         Smaller(kSide, m - ir), Smaller(kSide, n - jr));
          }
        }
      }
    }
  }

  const GemmArguments& g_;
  int64_t depth_, columns_;  // of a block of b
  int64_t packed_k_ = 0;     // of k: what of all rows of a is packed at a time; 0: some rows of a block
  float *packed_a_, *packed_b_;
};

}  // namespace

void Gemm(const GemmArguments& arguments, float* scratch) {
  const TileRegisters registers;
  Blocks(arguments, scratch).Multiply();
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
