// The matrix products in bf16, for processors with AVX512_BF16. Compiled for that instruction set alone.
#include "kernels/cpu/gemm_block.h"
#include "kernels/cpu/shard_outer_tiles.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// One step multiplies a pair of k: sum + a0 b0 + a1 b1 in the order of VDPBF16PS.
struct Bf16 {
  static constexpr int kPer = 2;
  static Vector MultiplyAdd(Vector a, Vector b, Vector c) {
    return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

inline __m512i Widened(__m512 x) {
  return _mm512_maskz_cvtepu16_epi32(0xffff, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}

// The words (x, y) of sixteen columns.
inline void StorePairs(float* out, __mmask16 mask, __m512 x, __m512 y) {
  const __m512i words = _mm512_or_si512(Widened(x), _mm512_maskz_slli_epi32(0xffff, Widened(y), 16));
  _mm512_mask_storeu_ps(out, mask, _mm512_castsi512_ps(words));
}

struct PackBf16 {
  static int64_t Steps(int64_t k) { return (k + 1) / 2; }

  template <int kWidth>
  static void Along(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
    for (int64_t p = 0; p < k; p += 2, out += kWidth) {
      const float* x = in + p * ld;
      for (int i = 0; i < kWidth; i += 16) {
        const __mmask16 mask = Lanes(width - i);
        const __m512 second = p + 1 < k ? _mm512_maskz_loadu_ps(mask, x + ld + i) : _mm512_setzero_ps();
        StorePairs(out + i, Lanes(kWidth - i), _mm512_maskz_loadu_ps(mask, x + i), second);
      }
    }
  }

  template <int kWidth>
  static void Across(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
    constexpr int64_t kSteps = 64;
    alignas(64) float words[kWidth * kSteps];
    for (int64_t p = 0; p < k; p += 2 * kSteps) {
      const int64_t values = Smaller(2 * kSteps, k - p);
      for (int64_t i = 0; i < width; ++i) {
        for (int64_t q = 0; q < values; q += 32) {
          const float* x = in + i * ld + p + q;
          const __m512 low = _mm512_maskz_loadu_ps(Lanes(values - q), x);
          const __m512 high = _mm512_maskz_loadu_ps(Lanes(values - q - 16), x + 16);
          _mm512_store_ps(words + i * kSteps + q / 2,
                          _mm512_castsi512_ps(reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low))));
        }
      }
      PackAcross<kWidth>(Steps(values), width, words, kSteps, out + p / 2 * kWidth);
    }
  }
};

}  // namespace

void Gemm(const GemmArguments& arguments, float* scratch) { GemmBlocks<Bf16, PackBf16>(arguments, scratch); }

void ShardOuterProduct(const ShardTree& tree, const OuterProduct& product, float* scratch) {
  OuterProductTiles<Bf16, PackBf16>(tree, product, scratch);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
