#include "kernels/cuda/gemm.h"
#include "kernels/cuda/product.h"

namespace lockstep::kernels::cuda {

Launched Gemm(const GemmArguments& product, Stream stream) {
  return MultiplyTiles("Gemm", OperandOf(product.a, product.lda, product.m, true),
                       OperandOf(product.b, product.ldb, product.n, product.b_transposed), product.k,
                       product.c, product.ldc, product.add, stream);
}

}  // namespace lockstep::kernels::cuda
