#include "kernels/cuda/pack.h"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/squared_error.h"

namespace lockstep::kernels::cuda {
namespace {

template <int kWarps, int kCount>
__global__ void SquaredErrorKernel(int64_t rows, int64_t width, bool aligned, float scale,
                                   const float* targets, float* y, float* losses) {
  constexpr int kOwn = kWarps * kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kOwn;
  const float share = 1.0f / static_cast<float>(width), factor = 2.0f * scale * share;
  for (int64_t r = FirstItem() / kOwn; r < rows; r += ItemStride() / kOwn) {
    float sum = 0;
    for (int64_t c = r * width + lane * kCount; c < (r + 1) * width; c += kOwn * kCount) {
      const auto target = Load<kCount>(targets + c, aligned);
      auto value = Load<kCount>(y + c, aligned);
      for (int k = 0; k < kCount; ++k) {
        const float difference = value[k] - target[k];
        sum += difference * difference;
        value[k] = difference * factor;
      }
      Store(y + c, value, aligned);
    }
    sum = BlockSum<kWarps>(sum);
    if (lane == 0) losses[r] = sum * share;
  }
}

}  // namespace

Launched SquaredError(int64_t rows, int64_t width, float scale, const float* targets, float* y, float* losses,
                      Stream stream) {
  if (rows == 0) return {};
  return ForRows(rows, width, [&](auto warps, auto floats, unsigned blocks) {
    return Launch<SquaredErrorKernel<warps.kInt, floats.kInt>>({"SquaredError", blocks, kThreads, stream},
                                                               rows, width, FourAtATime(targets, y), scale,
                                                               targets, y, losses);
  });
}

}  // namespace lockstep::kernels::cuda
