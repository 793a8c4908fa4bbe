#include <xmmintrin.h>

#include "kernels/cpu/variants.h"
#include "kernels/gemm.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// Columns of `count` rows, one by one: the edges.
void Narrow(int64_t count, int64_t rows, int64_t columns, const float* in, float* out) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < count; ++r) out[c * rows + r] = in[r * columns + c];
  }
}

}  // namespace

// Four by four in registers; sixteen rows abreast, so that each written cache line is finished at once.
void Transpose(int64_t rows, int64_t columns, const float* in, float* out) {
  constexpr int64_t kAbreast = 16;
  int64_t r = 0;
  for (; r + 4 <= rows;) {
    const int64_t abreast = r + kAbreast <= rows ? kAbreast : 4;
    int64_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      for (int64_t s = r; s < r + abreast; s += 4) {
        const float* from = in + s * columns + c;
        __m128 row0 = _mm_loadu_ps(from), row1 = _mm_loadu_ps(from + columns);
        __m128 row2 = _mm_loadu_ps(from + 2 * columns), row3 = _mm_loadu_ps(from + 3 * columns);
        _MM_TRANSPOSE4_PS(row0, row1, row2, row3);
        float* to = out + c * rows + s;
        _mm_storeu_ps(to, row0);
        _mm_storeu_ps(to + rows, row1);
        _mm_storeu_ps(to + 2 * rows, row2);
        _mm_storeu_ps(to + 3 * rows, row3);
      }
    }
    for (; c < columns; ++c) {
      for (int64_t s = r; s < r + abreast; ++s) out[c * rows + s] = in[s * columns + c];
    }
    r += abreast;
  }
  if (r < rows) Narrow(rows - r, rows, columns, in + r * columns, out + r);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
