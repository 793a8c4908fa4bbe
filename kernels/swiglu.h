// SwiGLU (Shazeer 2020), the gated feed-forward of Llama.
//
//   silu(g) = g / (1 + exp(-g))
//   y       = silu(gate) up
//   backward: dgate = dy up silu'(gate),  dup = dy silu(gate),  silu'(g) = s (1 + g (1 - s)), s = sigmoid(g)
//
// Shapes: all (count); elementwise, so any range may be given. float32, exp of kernels/cpu/math.h.
#pragma once

#include <cstdint>

namespace lockstep::kernels::cpu {

void SwiGluForward(int64_t count, const float* gate, const float* up, float* y);
// Recomputes silu(gate). dgate and dup overlap nothing; either may be null where nobody wants it. `add`: +=
// instead of =.
void SwiGluBackward(int64_t count, const float* gate, const float* up, const float* dy, bool add,
                    float* dgate, float* dup);

}  // namespace lockstep::kernels::cpu
