// Pairs of bfloat16 in 32-bit words: how float32 becomes panels of them. For sources compiled for AVX512_BF16
// alone.
#pragma once

#include "kernels/cpu/isa.h"
#include "kernels/cpu/transpose16.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline __m512i Widened(__m512 x) {
  return _mm512_maskz_cvtepu16_epi32(0xffff, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}

// The words (x, y) of sixteen columns.
inline __m512i Paired(__m512 x, __m512 y) {
  return _mm512_or_si512(Widened(x), _mm512_maskz_slli_epi32(0xffff, Widened(y), 16));
}

// The words of sixteen pairs of one row; from `values` on, zeros.
inline __m512i PairsOfRow(const float* row, int64_t values) {
  const __m512 low = _mm512_maskz_loadu_ps(Lanes(values), row);
  const __m512 high = _mm512_maskz_loadu_ps(Lanes(values - 16), row + 16);
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

// The words of the rows (p, p + 1) at sixteen columns, `columns` of them real.
inline __m512i PairsOfRows(const float* rows, int64_t ld, int64_t count, int64_t columns) {
  const __mmask16 mask = Lanes(columns);
  const __m512 first = count > 0 ? _mm512_maskz_loadu_ps(mask, rows) : _mm512_setzero_ps();
  const __m512 second = count > 1 ? _mm512_maskz_loadu_ps(mask, rows + ld) : _mm512_setzero_ps();
  return Paired(first, second);
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
