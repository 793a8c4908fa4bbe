#include "worker/engine/optimizers/newton_schulz.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/combine.h"
#include "kernels/gemm.h"
#include "kernels/update.h"

namespace lockstep::engine {
namespace {

constexpr int64_t kRowsPerTile = 12;  // where the products' tiles end

int64_t Padded(int64_t floats) { return (floats + 15) / 16 * 16; }

// out (rows, n) = a (rows, k) * b, or its transpose where b is (n, k): this member's rows.
void Product(const Range& rows, int64_t n, int64_t k, const float* a, const float* b, bool b_transposed,
             float* out, float* scratch) {
  if (rows.empty()) return;
  kernels::GemmArguments arguments;
  arguments.m = rows.end - rows.begin;
  arguments.n = n;
  arguments.k = k;
  arguments.a = a + rows.begin * k;
  arguments.lda = k;
  arguments.b = b;
  arguments.ldb = b_transposed ? k : n;
  arguments.b_transposed = b_transposed;
  arguments.c = out + rows.begin * n;
  arguments.ldc = n;
  kernels::cpu::Gemm(kernels::GemmType::kFp32, arguments, scratch);
}

}  // namespace

int64_t NewtonSchulzScratch(int64_t rows, int64_t columns, int threads) {
  const int64_t small = std::min(rows, columns);
  return Padded(rows * columns) + 2 * Padded(small * small) + threads * kernels::kGemmScratch;
}

void NewtonSchulz(const Member& member, int64_t rows, int64_t columns, float* matrix, float* scratch) {
  const int64_t r = std::min(rows, columns), k = std::max(rows, columns), size = r * k;
  float* x = matrix;                           // (r, k)
  float* next = scratch;                       // (r, k)
  float* const gram = next + Padded(size);     // (r, r)
  float* const square = gram + Padded(r * r);  // (r, r)
  float* const own = square + Padded(r * r) + member.index * kernels::kGemmScratch;
  const bool turned = rows > columns;
  if (turned) std::swap(x, next);
  if (member.index == 0) {
    if (turned) kernels::cpu::Transpose(rows, columns, matrix, x);
    const double norm = std::sqrt(kernels::cpu::Regularize(size, 0, 0, x, x));
    const float scale = static_cast<float>(1.0 / std::max(norm, kNewtonSchulzLeastNorm));
    for (int64_t i = 0; i < size; ++i) x[i] *= scale;
  }
  member.Barrier();
  const Range mine = member.Share(r, kRowsPerTile);
  const int64_t count = mine.empty() ? 0 : mine.end - mine.begin;
  for (int i = 0; i < kNewtonSchulzIterations; ++i) {
    Product(mine, r, k, x, x, true, gram, own);
    member.Barrier();
    Product(mine, r, r, gram, gram, false, square, own);
    kernels::cpu::Combine(count * r, kNewtonSchulzB, gram + mine.begin * r, kNewtonSchulzC,
                          square + mine.begin * r);
    Product(mine, k, r, square, x, false, next, own);
    kernels::cpu::Combine(count * k, kNewtonSchulzA, x + mine.begin * k, 1.0f, next + mine.begin * k);
    member.Barrier();
    std::swap(x, next);
  }
  if (member.index == 0) {
    if (turned) {
      if (x == matrix) {
        std::copy_n(x, size, next);
        x = next;
      }
      kernels::cpu::Transpose(r, k, x, matrix);
    } else if (x != matrix) {
      std::copy_n(x, size, matrix);
    }
  }
  member.Barrier();
}

}  // namespace lockstep::engine
