#include "kernels/cuda/combine.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void CombineKernel(int64_t count, bool four, float a, const float* x, float b, float* y) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto from = Load<pack.kFloats>(x + at);
    auto to = Load<pack.kFloats>(y + at);
    for (int k = 0; k < pack.kFloats; ++k) to[k] = a * from[k] + b * to[k];
    Store(y + at, to);
  });
}

}  // namespace

Launched Combine(int64_t count, float a, const float* x, float b, float* y, Stream stream) {
  if (count == 0) return {};
  return Launch<CombineKernel>({"Combine", PackBlocks(count), kThreads, stream}, count, FourAtATime(x, y), a,
                               x, b, y);
}

}  // namespace lockstep::kernels::cuda
