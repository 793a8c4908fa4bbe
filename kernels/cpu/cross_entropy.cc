#include "kernels/cross_entropy.h"

#include <math.h>

#include "kernels/cpu/math.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kBlock = 16;

// exp(z - max) in place; returns the sum. The tail is padded with -infinity, whose exponential is 0.
float ExponentialsInPlace(int64_t classes, float max, float* __restrict z) {
  float lanes[kBlock] = {};
  int64_t c = 0;
  for (; c + kBlock <= classes; c += kBlock) {
    for (int j = 0; j < kBlock; ++j) {
      const float e = Exp(z[c + j] - max);
      z[c + j] = e;
      lanes[j] += e;
    }
  }
  if (c < classes) {
    float tail[kBlock];
    for (int j = 0; j < kBlock; ++j) tail[j] = -INFINITY;
    for (int64_t j = 0; j < classes - c; ++j) tail[j] = z[c + j];
    for (int j = 0; j < kBlock; ++j) {
      tail[j] = Exp(tail[j] - max);
      lanes[j] += tail[j];
    }
    for (int64_t j = 0; j < classes - c; ++j) z[c + j] = tail[j];
  }
  for (int half = kBlock / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

}  // namespace

void SoftmaxCrossEntropy(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* logits,
                         float* losses, float* correct) {
  for (int64_t r = 0; r < rows; ++r) {
    float* z = logits + r * classes;
    int64_t best = 0;
    for (int64_t c = 1; c < classes; ++c) best = z[c] > z[best] ? c : best;
    const float max = z[best];
    const float label_logit = z[labels[r]];
    const float sum = ExponentialsInPlace(classes, max, z);
    losses[r] = logf(sum) - (label_logit - max);
    correct[r] = best == labels[r] ? 1.0f : 0.0f;
    const float factor = scale / sum;
    for (int64_t c = 0; c < classes; ++c) z[c] *= factor;
    z[labels[r]] -= scale;
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
