#include "kernels/lion.h"

#include "kernels/cpu/clip.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void LionUpdate(const LionStep& step, const Clip& clip, int64_t count, const float* __restrict gradient,
                float* __restrict m, float* __restrict weights) {
  const float scale = clip.scale, limit = Limit(clip), rate = step.rate, keep = step.keep;
  const float beta1 = step.beta1, beta2 = step.beta2, rest1 = 1.0f - beta1, rest2 = 1.0f - beta2;
  for (int64_t i = 0; i < count; ++i) {
    const float g = Clipped(gradient[i], scale, limit), before = m[i];
    const float direction = beta1 * before + rest1 * g;
    const float up = direction > 0.0f ? rate : 0.0f;
    const float move = direction < 0.0f ? -rate : up;
    weights[i] = weights[i] * keep - move;
    m[i] = beta2 * before + rest2 * g;
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
