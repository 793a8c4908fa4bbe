// Brings the next block of a matrix to the second-level cache, some lines with each tile that is computed
// meanwhile: what lies in memory is then packed at the speed of the cache.
#pragma once

#include <xmmintrin.h>

#include <cstdint>

#include "kernels/cpu/isa.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

class Ahead {
 public:
  Ahead() = default;
  // `rows` of `width` floats, `ld` apart, in as many portions as there are tiles.
  Ahead(const float* first, int64_t rows, int64_t width, int64_t ld, int64_t tiles)
      : at_(first), ld_(ld), rows_(rows), width_(width) {
    const int64_t lines = rows * ((width + kLine - 1) / kLine);
    portion_ = tiles < 1 ? 0 : (lines + tiles - 1) / tiles;
    if (portion_ > kMost) portion_ = kMost;
  }

  void Fetch() {
    for (int64_t i = 0; i < portion_ && row_ < rows_; ++i) {
      _mm_prefetch(at_ + column_, _MM_HINT_T1);
      column_ += kLine;
      if (column_ < width_) continue;
      column_ = 0;
      at_ += ld_;
      ++row_;
    }
  }

 private:
  static constexpr int64_t kLine = 16;  // floats
  static constexpr int64_t kMost = 64;  // lines at a time: more are dropped by the processor

  const float* at_ = nullptr;
  int64_t ld_ = 0, rows_ = 0, width_ = 0, portion_ = 0, row_ = 0, column_ = 0;
};

// Floats of a result that no second-level cache keeps beside the panels. Below it fetching costs 2 to 3 % of
// a product and brings nothing.
inline constexpr int64_t kBeyondCache = int64_t{1} << 18;

// Of `columns` neighbouring results of a row: are they whole lines, so that they may be written past the
// caches? Who does so ends with a fence (_mm_sfence) before another thread may read them.
inline bool WholeLines(const float* c, int64_t ldc, int64_t columns) {
  return reinterpret_cast<uintptr_t>(c) % 64 == 0 && ldc % 16 == 0 && columns % 16 == 0;
}

// The part of a tile's result that lies inside its matrix.
inline void FetchTile(const float* c, int64_t ldc, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; j += 16) _mm_prefetch(c + i * ldc + j, _MM_HINT_T0);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
