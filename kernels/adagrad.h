// Adagrad's update over one contiguous run of parameters (Duchi et al. 2011), elementwise in float32; the
// scalars are rounded once from double by the caller, so that a run may be cut anywhere.
//
//   g'' = clip(g) + decay * w;  s += g''^2;  w -= rate * g'' / (sqrt(s) + epsilon)
#pragma once

#include <cstdint>

#include "kernels/clip.h"

namespace lockstep::kernels {

struct AdagradStep {
  float rate = 0;
  float epsilon = 0;
  float decay = 0;
};

namespace cpu {
void AdagradUpdate(const AdagradStep& step, const Clip& clip, int64_t count, const float* gradient,
                   float* sums, float* weights);
}  // namespace cpu

}  // namespace lockstep::kernels
