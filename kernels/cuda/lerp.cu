#include "kernels/cuda/lerp.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void LerpKernel(int64_t count, bool four, float share, const float* x, float* y) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto from = Load<pack.kFloats>(x + at);
    auto to = Load<pack.kFloats>(y + at);
    for (int k = 0; k < pack.kFloats; ++k) to[k] += share * (from[k] - to[k]);
    Store(y + at, to);
  });
}

}  // namespace

Launched Lerp(int64_t count, float share, const float* x, float* y, Stream stream) {
  if (count == 0) return {};
  return Launch<LerpKernel>({"Lerp", PackBlocks(count), kThreads, stream}, count, FourAtATime(x, y), share, x,
                            y);
}

}  // namespace lockstep::kernels::cuda
