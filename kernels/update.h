// Optimizer updates over one contiguous run of parameters, and what precedes them: regularisation and the
// norm. Elementwise but for the norm; float32 with the scalars rounded once from double by the caller.
//
//   Regularize:  g += l1 * sign(w) + l2 * w;  returns sum g^2 in double, over 16 fixed lanes (index mod 16)
//   that
//                are added pairwise. Finite exactly when every g is.
//   clip:        g' = clamp(g * scale, -limit, limit)       (limit = infinity: none)
//   Sgd:         g'' = g' + decay * w;  b = momentum * b + g'';  w -= rate * (nesterov ? g'' + momentum * b :
//   b)
//                (momentum 0: w -= rate * g'', b is not touched). b starts from zero, so that its first value
//                is g''.
//   Adam:        g'' = g' + decay * w;  m = beta1 m + (1 - beta1) g'';  v = beta2 v + (1 - beta2) g''^2;
//                w = w * keep - rate1 * m / (sqrt(v) * root2 + epsilon)
//                where rate1 = rate / (1 - beta1^t), root2 = 1 / sqrt(1 - beta2^t);
//                AdamW: decay = 0 and keep = 1 - rate * weight_decay; Adam: keep = 1.
#pragma once

#include <cstdint>

#include "kernels/clip.h"

namespace lockstep::kernels {

struct SgdStep {
  float rate = 0;
  float momentum = 0;
  bool nesterov = false;
  float decay = 0;
};

struct AdamStep {
  float beta1 = 0, beta2 = 0;
  float rate1 = 0;
  float root2 = 0;
  float epsilon = 0;
  float decay = 0;  // Adam: joins the gradient
  float keep = 1;   // AdamW: shrinks the weight
};

namespace cpu {
double Regularize(int64_t count, float l1, float l2, const float* weights, float* gradient);
// `momentum` may be null when step.momentum is 0.
void SgdUpdate(const SgdStep& step, const Clip& clip, int64_t count, const float* gradient, float* momentum,
               float* weights);
void AdamUpdate(const AdamStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                float* v, float* weights);
}  // namespace cpu

}  // namespace lockstep::kernels
