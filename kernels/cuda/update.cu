#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/update.h"

namespace lockstep::kernels::cuda {
namespace {

__device__ float Clipped(float g, Clip clip) {
  const float scaled = g * clip.scale;
  const float below = scaled > clip.limit ? clip.limit : scaled;
  return below < -clip.limit ? -clip.limit : below;
}

__global__ void SgdKernel(SgdStep step, Clip clip, int64_t count, const float* gradient, float* momentum,
                          float* weights) {
  for (int64_t i = FirstItem(); i < count; i += ItemStride()) {
    const float w = weights[i];
    const float g = Clipped(gradient[i], clip) + step.decay * w;
    float direction = g;
    if (step.momentum != 0.0f) {
      const float b = step.momentum * momentum[i] + g;
      momentum[i] = b;
      direction = step.nesterov ? g + step.momentum * b : b;
    }
    weights[i] = w - step.rate * direction;
  }
}

__global__ void AdamKernel(AdamStep step, Clip clip, int64_t count, const float* gradient, float* m, float* v,
                           float* weights) {
  for (int64_t i = FirstItem(); i < count; i += ItemStride()) {
    const float w = weights[i];
    const float g = Clipped(gradient[i], clip) + step.decay * w;
    const float first = step.beta1 * m[i] + (1.0f - step.beta1) * g;
    const float second = step.beta2 * v[i] + (1.0f - step.beta2) * g * g;
    m[i] = first;
    v[i] = second;
    weights[i] = w * step.keep - step.rate1 * first / (sqrtf(second) * step.root2 + step.epsilon);
  }
}

// "0: none" becomes a limit that nothing exceeds.
Clip Explicit(Clip clip) {
  if (!(clip.limit > 0)) clip.limit = INFINITY;
  return clip;
}

}  // namespace

Launched SgdUpdate(const SgdStep& step, const Clip& clip, int64_t count, const float* gradient,
                   float* momentum, float* weights, Stream stream) {
  if (count == 0) return {};
  SgdKernel<<<Blocks(count), kThreads, 0, stream>>>(step, Explicit(clip), count, gradient, momentum, weights);
  return LastLaunch("SgdUpdate");
}

Launched AdamUpdate(const AdamStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                    float* v, float* weights, Stream stream) {
  if (count == 0) return {};
  AdamKernel<<<Blocks(count), kThreads, 0, stream>>>(step, Explicit(clip), count, gradient, m, v, weights);
  return LastLaunch("AdamUpdate");
}

}  // namespace lockstep::kernels::cuda
