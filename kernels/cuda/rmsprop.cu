#include "kernels/cuda/clip.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/rmsprop.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void RmsPropKernel(RmsPropStep step, Clip clip, int64_t count, bool four, const float* gradient,
                              float* squares, float* buffer, float* weights) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto gradients = Load<pack.kFloats>(gradient + at);
    auto v = Load<pack.kFloats>(squares + at);
    auto w = Load<pack.kFloats>(weights + at);
    auto direction = gradients;
    for (int k = 0; k < pack.kFloats; ++k) {
      const float g = Clipped(gradients[k], clip) + step.decay * w[k];
      v[k] = step.alpha * v[k] + (1.0f - step.alpha) * g * g;
      direction[k] = g / (sqrtf(v[k]) + step.epsilon);
    }
    Store(squares + at, v);
    if (step.momentum != 0.0f) {
      const auto b = Load<pack.kFloats>(buffer + at);
      for (int k = 0; k < pack.kFloats; ++k) direction[k] += step.momentum * b[k];
      Store(buffer + at, direction);
    }
    for (int k = 0; k < pack.kFloats; ++k) w[k] -= step.rate * direction[k];
    Store(weights + at, w);
  });
}

}  // namespace

Launched RmsPropUpdate(const RmsPropStep& step, const Clip& clip, int64_t count, const float* gradient,
                       float* squares, float* buffer, float* weights, Stream stream) {
  if (count == 0) return {};
  return Launch<RmsPropKernel>({"RmsPropUpdate", PackBlocks(count), kThreads, stream}, step, Explicit(clip),
                               count, FourAtATime(gradient, squares, buffer, weights), gradient, squares,
                               buffer, weights);
}

}  // namespace lockstep::kernels::cuda
