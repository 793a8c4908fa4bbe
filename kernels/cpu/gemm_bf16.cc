// The matrix products in bf16, for processors with AVX512_BF16. Compiled for that instruction set alone.
#include "kernels/cpu/gemm_block.h"
#include "kernels/cpu/pack_bf16.h"
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

struct PackBf16 {
  static int64_t Steps(int64_t k) { return (k + 1) / 2; }

  template <int kWidth>
  static void Along(int64_t k, int64_t width, const float* in, int64_t ld, float* out) {
    for (int64_t p = 0; p < k; p += 2, out += kWidth) {
      for (int i = 0; i < kWidth; i += 16) {
        _mm512_mask_storeu_epi32(out + i, Lanes(kWidth - i),
                                 PairsOfRows(in + p * ld + i, ld, k - p, width - i));
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
          _mm512_store_si512(words + i * kSteps + q / 2, PairsOfRow(in + i * ld + p + q, values - q));
        }
      }
      PackAcross<kWidth>(Steps(values), width, words, kSteps, out + p / 2 * kWidth);
    }
  }
};

}  // namespace

void Gemm(const GemmArguments& arguments, float* scratch) { GemmBlocks<Bf16, PackBf16>(arguments, scratch); }

void RoundToBf16(int64_t count, const float* in, uint16_t* out, bool past_caches) {
  constexpr int64_t kLine = 32;  // values of a line
  int64_t i = 0;
  if (past_caches) {
    // Lines of the result that lie whole in [out, out + count).
    const auto ahead = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(out) % 64 / sizeof(uint16_t));
    if (ahead > 0 && ahead <= count) {
      RoundToBf16(ahead, in, out, false);
      i = ahead;
    }
    if (reinterpret_cast<uintptr_t>(out + i) % 64 == 0) {
      for (; i + kLine <= count; i += kLine) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(out + i), PairsOfRow(in + i, kLine));
      }
      _mm_sfence();
    }
  }
  for (; i < count; i += kLine) {
    const __mmask32 mask = count - i >= kLine ? ~__mmask32{0} : (__mmask32{1} << (count - i)) - 1;
    _mm512_mask_storeu_epi16(out + i, mask, PairsOfRow(in + i, count - i));
  }
}

void ShardOuterProduct(const ShardTree& tree, const OuterProduct& product, float* scratch) {
  OuterProductTiles<Bf16, PackBf16>(tree, product, scratch);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
