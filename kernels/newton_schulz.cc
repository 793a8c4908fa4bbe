#include "kernels/newton_schulz.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/combine.h"
#include "kernels/gemm.h"
#include "kernels/update.h"

namespace lockstep::kernels::cpu {
namespace {

constexpr int kIterations = 5;
constexpr float kA = 3.4445f, kB = -4.775f, kC = 2.0315f;
constexpr double kSmallestNorm = 1e-7;

int64_t Padded(int64_t floats) { return (floats + 15) / 16 * 16; }

}  // namespace

int64_t NewtonSchulzScratch(int64_t rows, int64_t columns) {
  const int64_t small = std::min(rows, columns);
  return kGemmScratch + Padded(rows * columns) + 2 * Padded(small * small);
}

void NewtonSchulz(int64_t rows, int64_t columns, float* matrix, float* scratch) {
  const int64_t r = std::min(rows, columns), k = std::max(rows, columns), size = r * k;
  float* x = matrix;                     // (r, k)
  float* next = scratch + kGemmScratch;  // (r, k)
  float* gram = next + Padded(size);     // (r, r)
  float* square = gram + Padded(r * r);  // (r, r)
  if (rows > columns) {
    Transpose(rows, columns, matrix, next);
    std::swap(x, next);
  }
  const double norm = std::sqrt(Regularize(size, 0, 0, x, x));
  const float scale = static_cast<float>(1.0 / std::max(norm, kSmallestNorm));
  for (int64_t i = 0; i < size; ++i) x[i] *= scale;
  for (int i = 0; i < kIterations; ++i) {
    Gemm(GemmType::kFp32, {r, r, k, x, k, x, k, true, gram, r, false}, scratch);
    Gemm(GemmType::kFp32, {r, r, r, gram, r, gram, r, false, square, r, false}, scratch);
    Combine(r * r, kB, gram, kC, square);
    Gemm(GemmType::kFp32, {r, k, r, square, r, x, k, false, next, k, false}, scratch);
    Combine(size, kA, x, 1.0f, next);
    std::swap(x, next);
  }
  if (rows <= columns) {
    if (x != matrix) std::copy_n(x, size, matrix);
    return;
  }
  if (x == matrix) {
    std::copy_n(x, size, next);
    x = next;
  }
  Transpose(r, k, x, matrix);
}

}  // namespace lockstep::kernels::cpu
