#include "kernels/update.h"

#include <math.h>

#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline float Clipped(float g, float scale, float limit) {
  const float scaled = g * scale;
  const float below = scaled > limit ? limit : scaled;
  return below < -limit ? -limit : below;
}

inline float Limit(const Clip& clip) { return clip.limit > 0 ? clip.limit : INFINITY; }

}  // namespace

double Regularize(int64_t count, float l1, float l2, const float* weights, float* gradient) {
  constexpr int kBlock = 16;
  double lanes[kBlock] = {};
  const bool regularized = l1 != 0 || l2 != 0;
  for (int64_t i = 0; regularized && i < count; ++i) {
    const float w = weights[i];
    const float sign = w > 0.0f ? 1.0f : (w < 0.0f ? -1.0f : 0.0f);
    gradient[i] = gradient[i] + (l1 * sign + l2 * w);
  }
  int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    for (int j = 0; j < kBlock; ++j) {
      const double g = gradient[i + j];
      lanes[j] += g * g;
    }
  }
  for (int j = 0; i + j < count; ++j) {
    const double g = gradient[i + j];
    lanes[j] += g * g;
  }
  for (int half = kBlock / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

void SgdUpdate(const SgdStep& step, const Clip& clip, int64_t count, const float* __restrict gradient,
               float* __restrict momentum, float* __restrict weights) {
  const float scale = clip.scale, limit = Limit(clip), rate = step.rate, mu = step.momentum,
              decay = step.decay;
  if (mu == 0.0f) {
    for (int64_t i = 0; i < count; ++i) {
      const float w = weights[i];
      weights[i] = w - rate * (Clipped(gradient[i], scale, limit) + decay * w);
    }
    return;
  }
  const float own = step.nesterov ? 1.0f : 0.0f, through = step.nesterov ? mu : 1.0f;
  for (int64_t i = 0; i < count; ++i) {
    const float w = weights[i];
    const float g = Clipped(gradient[i], scale, limit) + decay * w;
    const float b = mu * momentum[i] + g;
    momentum[i] = b;
    weights[i] = w - rate * (own * g + through * b);
  }
}

void AdamUpdate(const AdamStep& step, const Clip& clip, int64_t count, const float* __restrict gradient,
                float* __restrict m, float* __restrict v, float* __restrict weights) {
  const float scale = clip.scale, limit = Limit(clip);
  const float beta1 = step.beta1, beta2 = step.beta2, rest1 = 1.0f - beta1, rest2 = 1.0f - beta2;
  const float rate1 = step.rate1, root2 = step.root2, epsilon = step.epsilon, decay = step.decay,
              keep = step.keep;
  for (int64_t i = 0; i < count; ++i) {
    const float w = weights[i];
    const float g = Clipped(gradient[i], scale, limit) + decay * w;
    const float first = beta1 * m[i] + rest1 * g;
    const float second = beta2 * v[i] + rest2 * g * g;
    m[i] = first;
    v[i] = second;
    weights[i] = w * keep - rate1 * first / (sqrtf(second) * root2 + epsilon);
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
