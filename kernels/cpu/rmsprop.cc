#include "kernels/rmsprop.h"

#include "kernels/cpu/clip.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void RmsPropUpdate(const RmsPropStep& step, const Clip& clip, int64_t count, const float* __restrict gradient,
                   float* __restrict squares, float* __restrict buffer, float* __restrict weights) {
  const float scale = clip.scale, limit = Limit(clip), rate = step.rate, alpha = step.alpha,
              rest = 1.0f - alpha, epsilon = step.epsilon, momentum = step.momentum, decay = step.decay;
  if (momentum == 0.0f) {
    for (int64_t i = 0; i < count; ++i) {
      const float w = weights[i];
      const float g = Clipped(gradient[i], scale, limit) + decay * w;
      const float square = alpha * squares[i] + rest * g * g;
      squares[i] = square;
      weights[i] = w - rate * (g / (sqrtf(square) + epsilon));
    }
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const float w = weights[i];
    const float g = Clipped(gradient[i], scale, limit) + decay * w;
    const float square = alpha * squares[i] + rest * g * g;
    const float b = momentum * buffer[i] + g / (sqrtf(square) + epsilon);
    squares[i] = square;
    buffer[i] = b;
    weights[i] = w - rate * b;
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
