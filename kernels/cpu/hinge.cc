#include "kernels/hinge.h"

#include <math.h>

#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kBlock = 16;

struct Sums {
  float loss[kBlock] = {};
  float above[kBlock] = {};  // margins above 0; exact up to 2^24 classes
};

inline void Add(float z, float needed, float scale, int lane, float* dz, Sums* sums) {
  const float margin = z + needed;
  const bool violated = !(margin <= 0.0f);  // NaN counts, so that it reaches the loss
  sums->loss[lane] += violated ? margin : 0.0f;
  sums->above[lane] += violated ? 1.0f : 0.0f;
  *dz = violated ? scale : 0.0f;
}

inline float Total(float* lanes) {
  for (int half = kBlock / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

}  // namespace

void Hinge(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* scores, float* losses,
           float* correct) {
  for (int64_t r = 0; r < rows; ++r) {
    float* z = scores + r * classes;
    const int32_t label = labels[r];
    if (label < 0) {
      for (int64_t c = 0; c < classes; ++c) z[c] = 0;
      losses[r] = correct[r] = 0;
      continue;
    }
    int64_t best = 0;
    for (int64_t c = 1; c < classes; ++c) best = z[c] > z[best] ? c : best;
    const float own = z[label];
    const float needed = 1.0f - own;
    Sums sums;
    z[label] = own != own ? own : -INFINITY;  // out of the sum below, unless it is NaN
    int64_t c = 0;
    for (; c + kBlock <= classes; c += kBlock) {
      for (int j = 0; j < kBlock; ++j) Add(z[c + j], needed, scale, j, z + c + j, &sums);
    }
    for (int j = 0; c + j < classes; ++j) Add(z[c + j], needed, scale, j, z + c + j, &sums);
    losses[r] = Total(sums.loss);
    correct[r] = best == label ? 1.0f : 0.0f;
    z[label] = -scale * Total(sums.above);
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
