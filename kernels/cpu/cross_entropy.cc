#include "kernels/cross_entropy.h"

#include <math.h>

#include "kernels/cpu/math.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kBlock = 16;

float SumOfBlock(float (&lanes)[kBlock]) {
  for (int half = kBlock / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

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
  return SumOfBlock(lanes);
}

// NaN never wins.
float Largest(int64_t classes, const float* __restrict z) {
  float lanes[kBlock];
  for (float& lane : lanes) lane = -INFINITY;
  int64_t c = 0;
  for (; c + kBlock <= classes; c += kBlock) {
    for (int j = 0; j < kBlock; ++j) lanes[j] = z[c + j] > lanes[j] ? z[c + j] : lanes[j];
  }
  for (; c < classes; ++c) lanes[0] = z[c] > lanes[0] ? z[c] : lanes[0];
  for (int j = 1; j < kBlock; ++j) lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
  return lanes[0];
}

// sum_c (z[c] - max)
float SumOfDistances(int64_t classes, float max, const float* __restrict z) {
  float lanes[kBlock] = {};
  int64_t c = 0;
  for (; c + kBlock <= classes; c += kBlock) {
    for (int j = 0; j < kBlock; ++j) lanes[j] += z[c + j] - max;
  }
  for (int j = 0; c + j < classes; ++j) lanes[j] += z[c + j] - max;
  return SumOfBlock(lanes);
}

// Whether none before `label` is as large as the largest.
bool IsFirstLargest(int64_t label, float max, const float* __restrict z) {
  if (z[label] != max) return false;
  int equal = 0;
  for (int64_t c = 0; c < label; ++c) equal |= z[c] == max;
  return equal == 0;
}

}  // namespace

void SoftmaxCrossEntropy(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* logits,
                         float* losses, float* correct, float smoothing) {
  const float share = smoothing / static_cast<float>(classes);
  for (int64_t r = 0; r < rows; ++r) {
    float* __restrict z = logits + r * classes;
    const int32_t label = labels[r];
    if (label < 0) {
      for (int64_t c = 0; c < classes; ++c) z[c] = 0.0f;
      losses[r] = 0.0f;
      correct[r] = 0.0f;
      continue;
    }
    const float max = Largest(classes, z);
    const float label_distance = z[label] - max;
    correct[r] = IsFirstLargest(label, max, z) ? 1.0f : 0.0f;
    const float distances = smoothing > 0.0f ? SumOfDistances(classes, max, z) : 0.0f;
    const float sum = ExponentialsInPlace(classes, max, z);
    losses[r] = logf(sum) - label_distance;
    const float factor = scale / sum;
    if (smoothing > 0.0f) {
      losses[r] = logf(sum) - (1.0f - smoothing) * label_distance - share * distances;
      for (int64_t c = 0; c < classes; ++c) z[c] = z[c] * factor - share * scale;
    } else {
      for (int64_t c = 0; c < classes; ++c) z[c] *= factor;
    }
    z[label] -= (1.0f - smoothing) * scale;
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
