// Sixteen vectors of sixteen words, transposed in registers. For sources compiled for AVX-512 alone.
#pragma once

#include <immintrin.h>

#include "kernels/cpu/isa.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// The lanes [0, count) of a vector.
inline __mmask16 Lanes(int64_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

// row[i] lane j becomes row[j] lane i. The maskz forms are the plain ones (vector.h).
inline void Transpose16(__m512i (&row)[16]) {
  __m512i pairs[16], fours[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_maskz_unpacklo_epi32(0xffff, row[i], row[i + 1]);
    pairs[i + 1] = _mm512_maskz_unpackhi_epi32(0xffff, row[i], row[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    fours[i] = _mm512_maskz_unpacklo_epi64(0xff, pairs[i], pairs[i + 2]);
    fours[i + 1] = _mm512_maskz_unpackhi_epi64(0xff, pairs[i], pairs[i + 2]);
    fours[i + 2] = _mm512_maskz_unpacklo_epi64(0xff, pairs[i + 1], pairs[i + 3]);
    fours[i + 3] = _mm512_maskz_unpackhi_epi64(0xff, pairs[i + 1], pairs[i + 3]);
  }
  // fours[4 q + c] holds, in its quarter h, column 4 h + c of rows 4 q to 4 q + 3.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512i low = _mm512_maskz_shuffle_i32x4(0xffff, fours[c], fours[4 + c], 0x88);
    const __m512i high = _mm512_maskz_shuffle_i32x4(0xffff, fours[c], fours[4 + c], 0xdd);
    const __m512i later_low = _mm512_maskz_shuffle_i32x4(0xffff, fours[8 + c], fours[12 + c], 0x88);
    const __m512i later_high = _mm512_maskz_shuffle_i32x4(0xffff, fours[8 + c], fours[12 + c], 0xdd);
    row[c] = _mm512_maskz_shuffle_i32x4(0xffff, low, later_low, 0x88);
    row[4 + c] = _mm512_maskz_shuffle_i32x4(0xffff, high, later_high, 0x88);
    row[8 + c] = _mm512_maskz_shuffle_i32x4(0xffff, low, later_low, 0xdd);
    row[12 + c] = _mm512_maskz_shuffle_i32x4(0xffff, high, later_high, 0xdd);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
