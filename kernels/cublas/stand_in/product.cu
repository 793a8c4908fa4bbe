#include "kernels/cublas/stand_in/product.h"
#include "kernels/cuda/launch.h"

namespace lockstep::kernels::stand_in {
namespace {

__device__ float StandInElement(const LtMatrix& matrix, bool bf16, int64_t at) {
  if (!bf16) return static_cast<const float*>(matrix.data)[at];
  const uint32_t bits = uint32_t{static_cast<const uint16_t*>(matrix.data)[at]} << 16;
  return __builtin_bit_cast(float, bits);
}

__global__ void StandInProductKernel(LtProductArguments p) {
  const int64_t size = p.m * p.n;
  for (int64_t i = cuda::FirstItem(); i < size * p.batch; i += cuda::ItemStride()) {
    const int64_t matrix = i / size, row = i % size % p.m, column = i % size / p.m;
    const auto product = [&](float sum, int64_t k) {
      const int64_t in_a = p.a.transposed ? row * p.a.ld + k : k * p.a.ld + row;
      const int64_t in_b = p.b.transposed ? k * p.b.ld + column : column * p.b.ld + k;
      return fmaf(StandInElement(p.a, p.bf16, matrix * p.a.stride + in_a),
                  StandInElement(p.b, p.bf16, matrix * p.b.stride + in_b), sum);
    };
    float sum = 0, other = 0;
    switch (p.order) {
      case 0:
        for (int64_t k = 0; k < p.k; ++k) sum = product(sum, k);
        break;
      case 1:
        for (int64_t k = p.k; k-- > 0;) sum = product(sum, k);
        break;
      case 2:
        for (int64_t k = 0; k < p.k; k += 2) sum = product(sum, k);
        for (int64_t k = 1; k < p.k; k += 2) sum = product(sum, k);
        break;
      default:
        for (int64_t k = 0; k < p.k / 2; ++k) sum = product(sum, k);
        for (int64_t k = p.k / 2; k < p.k; ++k) other = product(other, k);
        sum += other;
    }
    float& d = p.d[matrix * p.stride + column * p.ld + row];
    d = p.add ? d + sum : sum;
  }
}

}  // namespace

Launched LaunchLtProduct(const LtProductArguments& arguments, Stream stream) {
  const int64_t elements = arguments.m * arguments.n * arguments.batch;
  if (elements == 0) return {};
  return cuda::Launch<StandInProductKernel>(
      {"cublasLtMatmul", cuda::Blocks(elements), cuda::kThreads, stream}, arguments);
}

}  // namespace lockstep::kernels::stand_in
