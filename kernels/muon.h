// The first half of Muon's step (Jordan et al. 2024, as torch.optim.Muon): the momentum and Nesterov's look
// ahead, elementwise. newton_schulz.h is the other half.
//
//   g' = clip(g);  b += (1 - momentum) * (g' - b);  direction = g' + momentum * (b - g')
#pragma once

#include <cstdint>

#include "kernels/clip.h"

namespace lockstep::kernels::cpu {

void MuonMomentum(float momentum, const Clip& clip, int64_t count, const float* gradient, float* buffer,
                  float* direction);

}  // namespace lockstep::kernels::cpu
