// The first half of Muon's step (Jordan et al. 2024, as torch.optim.Muon): the momentum and Nesterov's look
// ahead, elementwise.
//
//   g' = clip(g);  b += (1 - momentum) * (g' - b);  direction = g' + momentum * (b - g')
//
// The direction takes the gradient's place. worker/engine/optimizers/newton_schulz.h is the other half.
#pragma once

#include <cstdint>

#include "kernels/clip.h"

namespace lockstep::kernels::cpu {

void MuonMomentum(float momentum, const Clip& clip, int64_t count, float* gradient, float* buffer);

}  // namespace lockstep::kernels::cpu
