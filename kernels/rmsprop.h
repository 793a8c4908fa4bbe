// RMSProp's update over one contiguous run of parameters (Hinton 2012, in PyTorch's form), elementwise in
// float32; the scalars are rounded once from double by the caller, so that a run may be cut anywhere.
//
//   g'' = clip(g) + decay * w;  v = alpha v + (1 - alpha) g''^2;  u = g'' / (sqrt(v) + epsilon)
//   w -= rate * u;  with momentum:  b = momentum * b + u;  w -= rate * b
#pragma once

#include <cstdint>

#include "kernels/clip.h"

namespace lockstep::kernels {

struct RmsPropStep {
  float rate = 0;
  float alpha = 0;
  float epsilon = 0;
  float momentum = 0;
  float decay = 0;
};

namespace cpu {
// `buffer` may be null when step.momentum is 0.
void RmsPropUpdate(const RmsPropStep& step, const Clip& clip, int64_t count, const float* gradient,
                   float* squares, float* buffer, float* weights);
}  // namespace cpu

}  // namespace lockstep::kernels
