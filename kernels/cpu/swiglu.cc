#include "kernels/swiglu.h"

#include "kernels/cpu/math.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

template <bool kAdd, bool kGate, bool kUp>
void Backward(int64_t count, const float* gate, const float* up, const float* dy, float* __restrict dgate,
              float* __restrict dup) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gate[i], s = Sigmoid(g), silu = g * s;
    const float to_gate = dy[i] * up[i] * (s + silu * (1.0f - s));
    const float to_up = dy[i] * silu;
    if constexpr (kGate) dgate[i] = kAdd ? dgate[i] + to_gate : to_gate;
    if constexpr (kUp) dup[i] = kAdd ? dup[i] + to_up : to_up;
  }
}

template <bool kAdd>
void Wanted(int64_t count, const float* gate, const float* up, const float* dy, float* dgate, float* dup) {
  if (dup == nullptr) return Backward<kAdd, true, false>(count, gate, up, dy, dgate, dup);
  if (dgate == nullptr) return Backward<kAdd, false, true>(count, gate, up, dy, dgate, dup);
  Backward<kAdd, true, true>(count, gate, up, dy, dgate, dup);
}

}  // namespace

void SwiGluForward(int64_t count, const float* gate, const float* up, float* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = gate[i] * Sigmoid(gate[i]) * up[i];
}

void SwiGluBackward(int64_t count, const float* gate, const float* up, const float* dy, bool add,
                    float* dgate, float* dup) {
  if (dgate == nullptr && dup == nullptr) return;
  if (add) return Wanted<true>(count, gate, up, dy, dgate, dup);
  Wanted<false>(count, gate, up, dy, dgate, dup);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
