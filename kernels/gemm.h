// Matrix product by oneDNN, row-major float32, on the calling thread alone (see PrepareThread).
//
//   c (m, n) = a (m, k) * b (k, n), leading dimensions lda, ldb, ldc
//
// Whether a row's bits depend on m is not promised: worker/engine/row_invariance.h measures it. Neither
// operand is transposed on purpose: with a transposed b, oneDNN 2.6 switches kernels with m and the bits
// change (measured). So Transpose the weights first.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep::kernels::cpu {

void Gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
          int64_t ldc);

// out (columns, rows) = in (rows, columns) transposed; both dense.
void Transpose(int64_t rows, int64_t columns, const float* in, float* out);

// Once per compute thread (again is cheap): one OpenMP thread per product, denormals flushed (FTZ, DAZ).
void PrepareThread();

std::string MathLibrary();  // "oneDNN 2.6.3"
std::string
InstructionSet();  // what oneDNN dispatches to, and with it our own kernels: "avx512_core_bf16", ...

}  // namespace lockstep::kernels::cpu
