#include "kernels/update.h"

#include "kernels/cpu/clip.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kBlock = 16;

// A block in one pass: what is regularised is squared while it is in a register.
inline void Squares(const float* gradient, int64_t count, double* lanes) {
  for (int64_t j = 0; j < count; ++j) {
    const double g = gradient[j];
    lanes[j] += g * g;
  }
}

inline void AddPenalty(int64_t count, float l1, float l2, const float* weights, float* gradient) {
  for (int64_t j = 0; j < count; ++j) {
    const float w = weights[j];
    const float sign = w > 0.0f ? 1.0f : (w < 0.0f ? -1.0f : 0.0f);
    gradient[j] = gradient[j] + (l1 * sign + l2 * w);
  }
}

}  // namespace

double Regularize(int64_t count, float l1, float l2, const float* weights, float* gradient) {
  double lanes[kBlock] = {};
  int64_t i = 0;
  if (l1 != 0 || l2 != 0) {
    for (; i + kBlock <= count; i += kBlock) {
      AddPenalty(kBlock, l1, l2, weights + i, gradient + i);
      Squares(gradient + i, kBlock, lanes);
    }
    AddPenalty(count - i, l1, l2, weights + i, gradient + i);
  } else {
    for (; i + kBlock <= count; i += kBlock) Squares(gradient + i, kBlock, lanes);
  }
  Squares(gradient + i, count - i, lanes);
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
