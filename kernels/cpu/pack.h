// Panels for kernels/cpu/panel_tile.h. A panel of width w holds, for each k, w consecutive values; beyond the
// matrix it is zero.
//
//   Along:  the matrix is stored (k, width): each k is a run of consecutive values
//   Across: the matrix is stored (width, k): each k is a column
#pragma once

#include "kernels/cpu/isa.h"
#include "kernels/cpu/vector.h"
#if defined(__AVX512F__)
#include "kernels/cpu/transpose16.h"
#endif

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline int64_t Smaller(int64_t a, int64_t b) { return a < b ? a : b; }

#if defined(__AVX512F__)
template <int kWidth>
inline void PackAlong(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
  for (int64_t p = 0; p < k; ++p, in += ld, out += kWidth) {
    for (int i = 0; i < kWidth; i += 16) {
      _mm512_mask_storeu_ps(out + i, Lanes(kWidth - i), _mm512_maskz_loadu_ps(Lanes(width - i), in + i));
    }
  }
}

template <int kWidth>
inline void PackAcross(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
  for (int i = 0; i < kWidth; i += 16) {
    const int64_t rows = width - i < 16 ? width - i : 16;
    for (int64_t p = 0; p < k; p += 16) {
      const __mmask16 mask = Lanes(k - p);
      const float* from = in + i * ld + p;
      __m512i block[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) {
        block[r] = r < rows ? _mm512_castps_si512(_mm512_maskz_loadu_ps(mask, from + r * ld))
                            : _mm512_setzero_si512();
      }
      Transpose16(block);
      float* to = out + p * kWidth + i;
#pragma GCC unroll 16
      for (int q = 0; q < 16; ++q) {
        if (q < k - p)
          _mm512_mask_storeu_ps(to + q * kWidth, Lanes(kWidth - i), _mm512_castsi512_ps(block[q]));
      }
    }
  }
}
#else
template <int kWidth>
inline void PackAlong(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
  if (width == kWidth) {
    for (int64_t p = 0; p < k; ++p, in += ld, out += kWidth) {
      for (int i = 0; i < kWidth; ++i) out[i] = in[i];
    }
    return;
  }
  for (int64_t p = 0; p < k; ++p, in += ld, out += kWidth) {
    for (int i = 0; i < kWidth; ++i) out[i] = i < width ? in[i] : 0.0f;
  }
}

// Four rows by four columns at a time, transposed in registers.
template <int kWidth>
inline void PackAcross(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
  int i = 0;
  for (; i + 4 <= kWidth; i += 4) {
    if (i + 4 > width) break;
    const float* row = in + i * ld;
    int64_t p = 0;
    for (; p + 4 <= k; p += 4) {
      __m128 r0 = _mm_loadu_ps(row + p), r1 = _mm_loadu_ps(row + ld + p);
      __m128 r2 = _mm_loadu_ps(row + 2 * ld + p), r3 = _mm_loadu_ps(row + 3 * ld + p);
      _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
      float* to = out + p * kWidth + i;
      _mm_storeu_ps(to, r0);
      _mm_storeu_ps(to + kWidth, r1);
      _mm_storeu_ps(to + 2 * kWidth, r2);
      _mm_storeu_ps(to + 3 * kWidth, r3);
    }
    for (; p < k; ++p) {
      for (int q = 0; q < 4; ++q) out[p * kWidth + i + q] = row[q * ld + p];
    }
  }
  for (; i < kWidth; ++i) {
    for (int64_t p = 0; p < k; ++p) out[p * kWidth + i] = i < width ? in[i * ld + p] : 0.0f;
  }
}

#endif

struct PackFp32 {
  static int64_t Steps(int64_t k) { return k; }  // of a panel
  template <int kWidth>
  static void Along(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
    PackAlong<kWidth>(k, width, in, ld, out);
  }
  template <int kWidth>
  static void Across(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
    PackAcross<kWidth>(k, width, in, ld, out);
  }
};

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
