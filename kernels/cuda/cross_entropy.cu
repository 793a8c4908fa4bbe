#include "kernels/cuda/cross_entropy.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/rows.h"

namespace lockstep::kernels::cuda {
namespace {

// What one pass over some of a row's logits leaves.
struct Seen {
  float largest = -INFINITY;
  float sum = 0;              // of exp(z - largest)
  float total = 0;            // of z - the row's first logit, for the smoothed target
  int64_t index = INT64_MAX;  // of the first largest
};

__device__ inline void See(float z, float origin, int64_t index, Seen* seen) {
  if (z > seen->largest) {
    seen->sum = seen->sum * expf(seen->largest - z) + 1.0f;
    seen->largest = z;
    seen->index = index;
  } else if (z != -INFINITY) {  // whose exponential is 0; NaN comes here
    seen->sum += expf(z - seen->largest);
  }
  seen->total += z - origin;
}

// A row's own threads are kWarps warps; each reads every (32 kWarps)-th pack. One read of the row finds the
// largest logit and the sum of exponentials together (Milakov & Gimelshein 2018), a second one writes the
// gradient.
template <int kWarps, int kFloats>
__global__ void CrossEntropyKernel(int64_t rows, int64_t classes, bool aligned, float scale, float smoothing,
                                   const int32_t* labels, float* logits, float* losses, float* correct) {
  constexpr int kOwn = kWarps * kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kOwn;
  const int64_t row_stride = ItemStride() / kOwn;
  for (int64_t r = FirstItem() / kOwn; r < rows; r += row_stride) {
    float* const z = logits + r * classes;
    const int32_t label = labels[r];
    if (label < 0) {
      for (int64_t c = lane; c < classes; c += kOwn) z[c] = 0.0f;
      if (lane == 0) losses[r] = correct[r] = 0.0f;
      continue;
    }
    const float origin = z[0], label_logit = z[label];
    Seen seen;
    for (int64_t c = lane * kFloats; c < classes; c += kOwn * kFloats) {
      const auto pack = Load<kFloats>(z + c, aligned);
      for (int k = 0; k < kFloats; ++k) See(pack[k], origin, c + k, &seen);
    }
    const float largest = BlockReduce<kWarps>(seen.largest, Largest());
    const int64_t best = BlockReduce<kWarps>(seen.largest == largest ? seen.index : INT64_MAX, Least());
    const float sum = BlockSum<kWarps>(seen.sum * expf(seen.largest - largest));
    const float total = smoothing != 0.0f ? BlockSum<kWarps>(seen.total) : 0.0f;
    OwnersMeet<kWarps>();  // the label's logit is read before its lane overwrites it
    const float share = smoothing / static_cast<float>(classes);
    const float factor = scale / sum, other = scale * share, own = scale * (1.0f - smoothing);
    for (int64_t c = lane * kFloats; c < classes; c += kOwn * kFloats) {
      auto pack = Load<kFloats>(z + c, aligned);
      for (int k = 0; k < kFloats; ++k) {
        pack[k] = expf(pack[k] - largest) * factor - other - (c + k == label ? own : 0.0f);
      }
      Store(z + c, pack, aligned);
    }
    if (lane == 0) {
      float loss = logf(sum) - (1.0f - smoothing) * (label_logit - largest);
      if (smoothing != 0.0f) loss -= share * (total + static_cast<float>(classes) * (origin - largest));
      losses[r] = loss;
      correct[r] = best == label ? 1.0f : 0.0f;
    }
  }
}

}  // namespace

Launched SoftmaxCrossEntropy(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* logits,
                             float* losses, float* correct, float smoothing, Stream stream) {
  if (rows == 0) return {};
  return ForRows(rows, classes, [&](auto warps, auto floats, unsigned blocks) {
    return Launch<CrossEntropyKernel<warps.kInt, floats.kInt>>(
        {"SoftmaxCrossEntropy", blocks, kThreads, stream}, rows, classes, FourAtATime(logits), scale,
        smoothing, labels, logits, losses, correct);
  });
}

}  // namespace lockstep::kernels::cuda
