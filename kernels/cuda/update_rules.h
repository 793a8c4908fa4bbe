// What an optimizer does to one pack of elements (kernels/update.h), for the kernels over one run of
// parameters and over all of them. Those that move the weights return them. REQUIRES of each: an explicit
// clip (clip.h).
#pragma once

#include "kernels/adagrad.h"
#include "kernels/cuda/clip.h"
#include "kernels/cuda/pack.h"
#include "kernels/lion.h"
#include "kernels/rmsprop.h"
#include "kernels/update.h"

namespace lockstep::kernels::cuda {

// `state` is the momentum; it may be null when step.momentum is 0.
template <int kCount>
__device__ inline Pack<kCount> SgdPack(const SgdStep& step, const Clip& clip, const float* gradient,
                                       float* momentum, float* weights) {
  auto g = Load<kCount>(gradient);
  auto w = Load<kCount>(weights);
  for (int k = 0; k < kCount; ++k) g[k] = Clipped(g[k], clip) + step.decay * w[k];
  auto direction = g;
  if (step.momentum != 0.0f) {
    auto b = Load<kCount>(momentum);
    for (int k = 0; k < kCount; ++k) {
      b[k] = step.momentum * b[k] + g[k];
      direction[k] = step.nesterov ? g[k] + step.momentum * b[k] : b[k];
    }
    Store(momentum, b);
  }
  for (int k = 0; k < kCount; ++k) w[k] -= step.rate * direction[k];
  Store(weights, w);
  return w;
}

template <int kCount>
__device__ inline Pack<kCount> AdamPack(const AdamStep& step, const Clip& clip, const float* gradient,
                                        float* first, float* second, float* weights) {
  const auto gradients = Load<kCount>(gradient);
  auto m = Load<kCount>(first);
  auto v = Load<kCount>(second);
  auto w = Load<kCount>(weights);
  for (int k = 0; k < kCount; ++k) {
    const float g = Clipped(gradients[k], clip) + step.decay * w[k];
    m[k] = step.beta1 * m[k] + (1.0f - step.beta1) * g;
    v[k] = step.beta2 * v[k] + (1.0f - step.beta2) * g * g;
    w[k] = w[k] * step.keep - step.rate1 * m[k] / (sqrtf(v[k]) * step.root2 + step.epsilon);
  }
  Store(first, m);
  Store(second, v);
  Store(weights, w);
  return w;
}

template <int kCount>
__device__ inline Pack<kCount> LionPack(const LionStep& step, const Clip& clip, const float* gradient,
                                        float* momentum, float* weights) {
  const auto gradients = Load<kCount>(gradient);
  auto m = Load<kCount>(momentum);
  auto w = Load<kCount>(weights);
  for (int k = 0; k < kCount; ++k) {
    const float g = Clipped(gradients[k], clip);
    const float direction = step.beta1 * m[k] + (1.0f - step.beta1) * g;
    const float up = direction > 0.0f ? step.rate : 0.0f;
    w[k] = w[k] * step.keep - (direction < 0.0f ? -step.rate : up);
    m[k] = step.beta2 * m[k] + (1.0f - step.beta2) * g;
  }
  Store(momentum, m);
  Store(weights, w);
  return w;
}

template <int kCount>
__device__ inline Pack<kCount> AdagradPack(const AdagradStep& step, const Clip& clip, const float* gradient,
                                           float* sums, float* weights) {
  const auto gradients = Load<kCount>(gradient);
  auto s = Load<kCount>(sums);
  auto w = Load<kCount>(weights);
  for (int k = 0; k < kCount; ++k) {
    const float g = Clipped(gradients[k], clip) + step.decay * w[k];
    s[k] += g * g;
    w[k] -= step.rate * g / (sqrtf(s[k]) + step.epsilon);
  }
  Store(sums, s);
  Store(weights, w);
  return w;
}

// `buffer` may be null when step.momentum is 0.
template <int kCount>
__device__ inline Pack<kCount> RmsPropPack(const RmsPropStep& step, const Clip& clip, const float* gradient,
                                           float* squares, float* buffer, float* weights) {
  const auto gradients = Load<kCount>(gradient);
  auto v = Load<kCount>(squares);
  auto w = Load<kCount>(weights);
  auto direction = gradients;
  for (int k = 0; k < kCount; ++k) {
    const float g = Clipped(gradients[k], clip) + step.decay * w[k];
    v[k] = step.alpha * v[k] + (1.0f - step.alpha) * g * g;
    direction[k] = g / (sqrtf(v[k]) + step.epsilon);
  }
  Store(squares, v);
  if (step.momentum != 0.0f) {
    const auto b = Load<kCount>(buffer);
    for (int k = 0; k < kCount; ++k) direction[k] += step.momentum * b[k];
    Store(buffer, direction);
  }
  for (int k = 0; k < kCount; ++k) w[k] -= step.rate * direction[k];
  Store(weights, w);
  return w;
}

// The direction takes the gradient's place.
template <int kCount>
__device__ inline void MuonPack(float momentum, const Clip& clip, float* gradient, float* buffer) {
  auto g = Load<kCount>(gradient);
  auto b = Load<kCount>(buffer);
  for (int k = 0; k < kCount; ++k) {
    g[k] = Clipped(g[k], clip);
    b[k] += (1.0f - momentum) * (g[k] - b[k]);
    g[k] += momentum * (b[k] - g[k]);
  }
  Store(gradient, g);
  Store(buffer, b);
}

// g += l1 sign(w) + l2 w
template <int kCount>
__device__ inline Pack<kCount> Regularized(float l1, float l2, Pack<kCount> g, const Pack<kCount>& w) {
  for (int k = 0; k < kCount; ++k) {
    const float sign = w[k] > 0.0f ? 1.0f : (w[k] < 0.0f ? -1.0f : 0.0f);
    g[k] += l1 * sign + l2 * w[k];
  }
  return g;
}

}  // namespace lockstep::kernels::cuda
