// Panels for AMX's tiles (amx_tile.h) from matrices of float32, rounded on the way; what lies outside a
// matrix is zeros. For sources compiled for AMX alone.
#pragma once

#include "kernels/cpu/amx_tile.h"
#include "kernels/cpu/pack_bf16.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline int64_t Smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t Steps(int64_t k) { return (k + 2 * kPairs - 1) / (2 * kPairs); }  // of a panel

// Memory is waited for less where it is asked for early: rows, of a matrix that is read once.
inline constexpr int64_t kRowsAhead = 4, kRoundedRowsAhead = 8;

// One pair of k of a panel of b, from `count` rows of (k, width).
inline void PackPair(int64_t count, int64_t width, const float* rows, int64_t ld, float* out) {
  for (int64_t i = kRowsAhead; i < kRowsAhead + 2; ++i) {
    _mm_prefetch(rows + i * ld, _MM_HINT_T0);
    _mm_prefetch(rows + i * ld + 16, _MM_HINT_T0);
  }
  _mm512_storeu_si512(out, PairsOfRows(rows, ld, count, width));
  _mm512_storeu_si512(out + 16, PairsOfRows(rows + 16, ld, count, width - 16));
}

// Panel of b from (k, width).
inline void PackAlong(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
  for (int64_t p = 0; p < Steps(k) * 2 * kPairs; p += 2, out += kSide) {
    PackPair(k - p, width, in + p * ld, ld, out);
  }
}

// Panel of b from (width, k); each row is read in one go, as memory likes it.
inline void PackAcross(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
  constexpr int64_t kRun = 1024;
  alignas(64) float rounded[16][kRun / 2];
  for (int64_t p = 0; p < k; p += kRun, out += kRun / 2 * kSide) {
    const int64_t run = Smaller(kRun, k - p);
    for (int half = 0; half < kSide; half += 16) {
      for (int i = 0; i < 16; ++i) {
        const float* row = in + (half + i) * ld + p;
        for (int64_t q = 0; q < run; q += 2 * kPairs) {
          _mm_prefetch(row + kRowsAhead * ld + q, _MM_HINT_T0);
          _mm_prefetch(row + kRowsAhead * ld + q + 16, _MM_HINT_T0);
          _mm512_store_si512(rounded[i] + q / 2,
                             half + i < width ? PairsOfRow(row + q, run - q) : _mm512_setzero_si512());
        }
      }
      for (int64_t q = 0; q < run; q += 2 * kPairs) {
        __m512i words[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) words[i] = _mm512_load_si512(rounded[i] + q / 2);
        Transpose16(words);
        float* const to = out + q / 2 * kSide + half;
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * kSide, words[i]);
      }
    }
  }
}

// The same from values that are rounded already. `values` of 32 of a row are real.
inline __m512i RoundedRow(const uint16_t* row, int64_t values) {
  if (values >= 2 * kPairs) return _mm512_loadu_si512(row);
  return _mm512_maskz_loadu_epi16(values <= 0 ? 0 : (__mmask32{1} << values) - 1, row);
}

inline void PackPair(int64_t count, int64_t width, const uint16_t* rows, int64_t ld, float* out) {
  _mm_prefetch(rows + kRoundedRowsAhead * ld, _MM_HINT_T0);
  _mm_prefetch(rows + (kRoundedRowsAhead + 1) * ld, _MM_HINT_T0);
  const __m512i first = RoundedRow(rows, count > 0 ? width : 0);
  const __m512i second = RoundedRow(rows + ld, count > 1 ? width : 0);
  // Words of columns 0 to 15, then of 16 to 31: a value of the first row, then that of the second.
  __m512i take = _mm512_or_si512(
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
      _mm512_set_epi32(47 << 16, 46 << 16, 45 << 16, 44 << 16, 43 << 16, 42 << 16, 41 << 16, 40 << 16,
                       39 << 16, 38 << 16, 37 << 16, 36 << 16, 35 << 16, 34 << 16, 33 << 16, 32 << 16));
  _mm512_storeu_si512(out, _mm512_permutex2var_epi16(first, take, second));
  take = _mm512_add_epi16(take, _mm512_set1_epi16(16));
  _mm512_storeu_si512(out + 16, _mm512_permutex2var_epi16(first, take, second));
}

inline void PackAcross(int64_t k, int64_t width, const uint16_t* in, int64_t ld, float* out) {
  for (int half = 0; half < kSide; half += 16) {
    for (int64_t q = 0; q < k; q += 2 * kPairs) {
      __m512i words[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        const uint16_t* row = in + (half + i) * ld + q;
        _mm_prefetch(row + 16 * ld, _MM_HINT_T0);
        words[i] = RoundedRow(row, half + i < width ? k - q : 0);
      }
      Transpose16(words);
      float* const to = out + q / 2 * kSide + half;
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * kSide, words[i]);
    }
  }
}

// Panel of a from (rows, k).
inline void PackRows(int64_t k, int64_t rows, const float* in, int64_t ld, float* out) {
  for (int64_t p = 0; p < k; p += 2 * kPairs, out += kPanelStep) {
    for (int i = 0; i < kSide; ++i) {
      _mm512_storeu_si512(out + i * kPairs,
                          i < rows ? PairsOfRow(in + i * ld + p, k - p) : _mm512_setzero_si512());
    }
  }
}

// Panel of a from (k, rows).
inline void PackColumns(int64_t k, int64_t rows, const float* in, int64_t ld, float* out) {
  for (int64_t p = 0; p < k; p += 2 * kPairs, out += kPanelStep) {
    for (int half = 0; half < kSide; half += 16) {
      __m512i words[16];
#pragma GCC unroll 16
      for (int q = 0; q < 16; ++q) {
        _mm_prefetch(in + (p + 2 * q + 2 * kPairs) * ld + half, _MM_HINT_T0);
        _mm_prefetch(in + (p + 2 * q + 2 * kPairs + 1) * ld + half, _MM_HINT_T0);
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

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
