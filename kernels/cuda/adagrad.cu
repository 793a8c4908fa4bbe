#include "kernels/cuda/adagrad.h"
#include "kernels/cuda/clip.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void AdagradKernel(AdagradStep step, Clip clip, int64_t count, bool four, const float* gradient,
                              float* sums, float* weights) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto gradients = Load<pack.kFloats>(gradient + at);
    auto s = Load<pack.kFloats>(sums + at);
    auto w = Load<pack.kFloats>(weights + at);
    for (int k = 0; k < pack.kFloats; ++k) {
      const float g = Clipped(gradients[k], clip) + step.decay * w[k];
      s[k] += g * g;
      w[k] -= step.rate * g / (sqrtf(s[k]) + step.epsilon);
    }
    Store(sums + at, s);
    Store(weights + at, w);
  });
}

}  // namespace

Launched AdagradUpdate(const AdagradStep& step, const Clip& clip, int64_t count, const float* gradient,
                       float* sums, float* weights, Stream stream) {
  if (count == 0) return {};
  return Launch<AdagradKernel>({"AdagradUpdate", PackBlocks(count), kThreads, stream}, step, Explicit(clip),
                               count, FourAtATime(gradient, sums, weights), gradient, sums, weights);
}

}  // namespace lockstep::kernels::cuda
