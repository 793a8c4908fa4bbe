// Lion's update over one contiguous run of parameters (Chen et al. 2023), elementwise in float32; the scalars
// are rounded once from double by the caller, so that a run may be cut anywhere.
//
//   g' = clip(g);  w = w * keep - rate * sign(beta1 m + (1 - beta1) g');  m = beta2 m + (1 - beta2) g'
//
// where keep = 1 - rate * weight_decay (decoupled) and sign(0) = 0.
#pragma once

#include <cstdint>

#include "kernels/clip.h"

namespace lockstep::kernels {

struct LionStep {
  float rate = 0;
  float beta1 = 0, beta2 = 0;
  float keep = 1;
};

namespace cpu {
void LionUpdate(const LionStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                float* weights);
}  // namespace cpu

}  // namespace lockstep::kernels
