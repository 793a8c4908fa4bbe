#include "kernels/cuda/gemm.h"
#include "kernels/cuda/product.h"
#include "kernels/cuda/round_pack.h"
#include "kernels/cuda/tensor_tile.h"

namespace lockstep::kernels::cuda {
namespace {

// Operand of values that are rounded already: half the bytes.
struct RoundedOperand {
  const uint16_t* data;
  int64_t stride, extent;
  bool along_k, aligned;

  __device__ Pack<4> Four(int64_t line, int64_t k, int64_t end) const {
    const uint16_t* const at = data + (along_k ? line * stride + k : k * stride + line);
    const int64_t left = along_k ? (line < extent ? end - k : 0) : (k < end ? extent - line : 0);
    Pack<4> pack = {};
    if (left >= 4 && aligned) {
      const auto four = *reinterpret_cast<const RoundedPack<4>*>(at);
#pragma unroll
      for (int i = 0; i < 4; ++i) pack[i] = Widened(four.value[i]);
      return pack;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i < left) pack[i] = Widened(at[i]);
    }
    return pack;
  }
};

}  // namespace

Launched Gemm(GemmType type, const GemmArguments& product, Stream stream) {
  const Operand a = OperandOf(product.a, product.lda, product.m, true);
  const auto multiply = [&](auto tiles, const auto& b) {
    return tiles("Gemm", a, b, product.k, product.c, product.ldc, product.add, stream);
  };
  if (type == GemmType::kBf16 && product.b_rounded != nullptr) {
    const bool aligned = reinterpret_cast<uintptr_t>(product.b_rounded) % 8 == 0 && product.ldb % 4 == 0;
    return multiply(MultiplyTiles<TensorTile, Operand, RoundedOperand>,
                    RoundedOperand{product.b_rounded, product.ldb, product.n, product.b_transposed, aligned});
  }
  const Operand b = OperandOf(product.b, product.ldb, product.n, product.b_transposed);
  return type == GemmType::kBf16 ? multiply(MultiplyTiles<TensorTile, Operand, Operand>, b)
                                 : multiply(MultiplyTiles<ProductTile, Operand, Operand>, b);
}

}  // namespace lockstep::kernels::cuda
