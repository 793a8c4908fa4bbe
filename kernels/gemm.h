// Matrix products, row-major float32 in and out, on the calling thread.
//
//   Gemm:  c (m, n) = a (m, k) * b (k, n)      or, with b_transposed, a (m, k) * b^T where b is (n, k); plus
//   c itself with `add`
//
// Each element of c is one chain of fused multiply-adds over k = 0, 1, ... from zero (or from c; multiply,
// then add, on processors without FMA), whatever its row, its tile, or how m and n are cut: so a row's bits
// do not depend on the rows beside it, and callers may share the work by rows or by columns as they like. In
// bf16 the operands are rounded to bfloat16 (nearest even) while they are packed; the chain then runs over
// pairs (k, k + 1), as VDPBF16PS adds them, in float32, or on processors with AMX over 16 such pairs, as
// TDPBF16PS does.
//
// Packed and tiled after Goto & van de Geijn (2008), "Anatomy of high-performance matrix multiplication".
#pragma once

#include <cstdint>
#include <string>

namespace lockstep::kernels {

enum class GemmType { kFp32, kBf16 };

struct GemmArguments {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  int64_t lda = 0;
  const float* b = nullptr;
  int64_t ldb = 0;
  bool b_transposed = false;
  float* c = nullptr;
  int64_t ldc = 0;
  bool add = false;
  // b as RoundToBf16 leaves it, or null: GemmType::kBf16 may read it in b's place, for half the bytes.
  const uint16_t* b_rounded = nullptr;
};

// Floats of scratch for one product on one thread, 64-byte aligned.
inline constexpr int64_t kGemmScratch = 256 * 544 + 256 * 144;

namespace cpu {

void Gemm(GemmType type, const GemmArguments& arguments, float* scratch);

// out = in rounded to bfloat16, as Gemm of kBf16 rounds its operands; needs HasBf16. `past_caches`: written
// around them, for a result that none of them would keep until it is read.
void RoundToBf16(int64_t count, const float* in, uint16_t* out, bool past_caches);
// Does Gemm of kBf16 read b_rounded here?
bool ReadsRounded();

// Does this processor multiply bf16 natively (AVX512_BF16)? Gemm of kBf16 needs it.
bool HasBf16();
// And in tiles (AMX_BF16), with the system's leave to use their registers?
bool HasAmx();

// out (columns, rows) = in (rows, columns) transposed; both dense.
void Transpose(int64_t rows, int64_t columns, const float* in, float* out);

// Once per compute thread (again is cheap): one OpenMP thread per oneDNN call, denormals flushed (FTZ, DAZ).
void PrepareThread();

std::string MathLibrary();  // "oneDNN 2.6.3, glibc 2.36"
std::string
InstructionSet();  // what oneDNN dispatches to, and with it our own kernels: "avx512_core_bf16", ...

}  // namespace cpu
}  // namespace lockstep::kernels
