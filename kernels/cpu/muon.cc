#include "kernels/muon.h"

#include "kernels/cpu/clip.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void MuonMomentum(float momentum, const Clip& clip, int64_t count, float* __restrict gradient,
                  float* __restrict buffer) {
  const float scale = clip.scale, limit = Limit(clip), rest = 1.0f - momentum;
  for (int64_t i = 0; i < count; ++i) {
    const float g = Clipped(gradient[i], scale, limit);
    const float b = buffer[i] + rest * (g - buffer[i]);
    buffer[i] = b;
    gradient[i] = g + momentum * (b - g);
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
