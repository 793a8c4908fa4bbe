#include "kernels/adagrad.h"

#include "kernels/cpu/clip.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void AdagradUpdate(const AdagradStep& step, const Clip& clip, int64_t count, const float* __restrict gradient,
                   float* __restrict sums, float* __restrict weights) {
  const float scale = clip.scale, limit = Limit(clip), rate = step.rate, epsilon = step.epsilon,
              decay = step.decay;
  for (int64_t i = 0; i < count; ++i) {
    const float w = weights[i];
    const float g = Clipped(gradient[i], scale, limit) + decay * w;
    const float sum = sums[i] + g * g;
    sums[i] = sum;
    weights[i] = w - rate * g / (sqrtf(sum) + epsilon);
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
