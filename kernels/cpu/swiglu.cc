#include "kernels/swiglu.h"

#include "kernels/cpu/math.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

template <bool kAdd>
void Backward(int64_t count, const float* gate, const float* up, const float* dy, float* __restrict dgate,
              float* __restrict dup) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gate[i], s = Sigmoid(g), silu = g * s;
    const float to_gate = dy[i] * up[i] * (s + silu * (1.0f - s));
    const float to_up = dy[i] * silu;
    dgate[i] = kAdd ? dgate[i] + to_gate : to_gate;
    dup[i] = kAdd ? dup[i] + to_up : to_up;
  }
}

}  // namespace

void SwiGluForward(int64_t count, const float* gate, const float* up, float* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = gate[i] * Sigmoid(gate[i]) * up[i];
}

void SwiGluBackward(int64_t count, const float* gate, const float* up, const float* dy, bool add,
                    float* dgate, float* dup) {
  if (add) return Backward<true>(count, gate, up, dy, dgate, dup);
  Backward<false>(count, gate, up, dy, dgate, dup);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
