#include "kernels/cuda/clip.h"
#include "kernels/cuda/lion.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void LionKernel(LionStep step, Clip clip, int64_t count, bool four, const float* gradient,
                           float* momentum, float* weights) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto gradients = Load<pack.kFloats>(gradient + at);
    auto m = Load<pack.kFloats>(momentum + at);
    auto w = Load<pack.kFloats>(weights + at);
    for (int k = 0; k < pack.kFloats; ++k) {
      const float g = Clipped(gradients[k], clip);
      const float direction = step.beta1 * m[k] + (1.0f - step.beta1) * g;
      const float up = direction > 0.0f ? step.rate : 0.0f;
      w[k] = w[k] * step.keep - (direction < 0.0f ? -step.rate : up);
      m[k] = step.beta2 * m[k] + (1.0f - step.beta2) * g;
    }
    Store(momentum + at, m);
    Store(weights + at, w);
  });
}

}  // namespace

Launched LionUpdate(const LionStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                    float* weights, Stream stream) {
  if (count == 0) return {};
  return Launch<LionKernel>({"LionUpdate", PackBlocks(count), kThreads, stream}, step, Explicit(clip), count,
                            FourAtATime(gradient, m, weights), gradient, m, weights);
}

}  // namespace lockstep::kernels::cuda
