#include "kernels/cuda/cross_entropy.h"
#include "kernels/cuda/launch.h"

namespace lockstep::kernels::cuda {
namespace {

constexpr int kWarp = 32;
constexpr unsigned kAll = 0xffffffffu;

struct Best {
  float value;
  int64_t index;
};

// The first largest; NaN never wins, as in the CPU's comparison.
__device__ Best Better(Best a, Best b) {
  if (b.value > a.value || (b.value == a.value && b.index < a.index)) return b;
  return a;
}

// One warp per row. The sum runs over 32 lanes and then a fixed tree: bits depend on the row alone.
__global__ void RowKernel(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* logits,
                          float* losses, float* correct) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t warps = ItemStride() / kWarp;
  for (int64_t r = FirstItem() / kWarp; r < rows; r += warps) {
    float* z = logits + r * classes;
    Best best{z[0], 0};
    for (int64_t c = lane; c < classes; c += kWarp) best = Better(best, {z[c], c});
    for (int half = kWarp / 2; half > 0; half /= 2) {
      const Best other{__shfl_xor_sync(kAll, best.value, half), __shfl_xor_sync(kAll, best.index, half)};
      best = Better(best, other);
    }
    const float label_logit = z[labels[r]];
    __syncwarp();  // the label's logit is read before its lane overwrites it
    float sum = 0;
    for (int64_t c = lane; c < classes; c += kWarp) {
      const float e = expf(z[c] - best.value);
      z[c] = e;
      sum += e;
    }
    for (int half = kWarp / 2; half > 0; half /= 2) sum += __shfl_xor_sync(kAll, sum, half);
    const float factor = scale / sum;
    for (int64_t c = lane; c < classes; c += kWarp) z[c] = z[c] * factor - (c == labels[r] ? scale : 0.0f);
    if (lane == 0) {
      losses[r] = logf(sum) - (label_logit - best.value);
      correct[r] = best.index == labels[r] ? 1.0f : 0.0f;
    }
  }
}

}  // namespace

Launched SoftmaxCrossEntropy(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* logits,
                             float* losses, float* correct, Stream stream) {
  if (rows == 0) return {};
  RowKernel<<<Blocks(rows, kThreads / kWarp), kThreads, 0, stream>>>(rows, classes, scale, labels, logits,
                                                                     losses, correct);
  return LastLaunch("SoftmaxCrossEntropy");
}

}  // namespace lockstep::kernels::cuda
