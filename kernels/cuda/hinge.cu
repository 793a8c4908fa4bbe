#include "kernels/cuda/hinge.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/rows.h"

namespace lockstep::kernels::cuda {
namespace {

struct Guess {
  float score;
  int64_t index;
};

template <int kWarps, int kCount>
__global__ void HingeKernel(int64_t rows, int64_t classes, bool aligned, float scale, const int32_t* labels,
                            float* scores, float* losses, float* correct) {
  constexpr int kOwn = kWarps * kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kOwn;
  for (int64_t r = FirstItem() / kOwn; r < rows; r += ItemStride() / kOwn) {
    float* const z = scores + r * classes;
    const int32_t label = labels[r];
    if (label < 0) {
      for (int64_t c = lane; c < classes; c += kOwn) z[c] = 0.0f;
      if (lane == 0) losses[r] = correct[r] = 0.0f;
      continue;
    }
    const float own = z[label];
    OwnersMeet<kWarps>();  // it is read before its lane overwrites it
    const float needed = 1.0f - own;
    Guess best{-INFINITY, INT64_MAX};
    float loss = own != own ? own : 0.0f;
    int above = 0;
    for (int64_t c = lane * kCount; c < classes; c += kOwn * kCount) {
      auto pack = Load<kCount>(z + c, aligned);
      for (int k = 0; k < kCount; ++k) {
        if (pack[k] > best.score) best = {pack[k], c + k};
        const float margin = pack[k] + needed;
        const bool violated = c + k != label && !(margin <= 0.0f);  // NaN counts, so that it reaches the loss
        if (violated) loss += margin;
        above += violated ? 1 : 0;
        pack[k] = violated ? scale : 0.0f;
      }
      Store(z + c, pack, aligned);
    }
    const float largest = BlockReduce<kWarps>(best.score, Largest());
    const int64_t guess = BlockReduce<kWarps>(best.score == largest ? best.index : INT64_MAX, Least());
    loss = BlockSum<kWarps>(loss);
    above = BlockSum<kWarps>(above);
    if constexpr (kWarps == 1) __syncwarp();  // the label's own gradient is written after its pack
    if (lane == 0) {
      losses[r] = loss;
      correct[r] = guess == label ? 1.0f : 0.0f;
      z[label] = -scale * static_cast<float>(above);
    }
  }
}

}  // namespace

Launched Hinge(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* scores,
               float* losses, float* correct, Stream stream) {
  if (rows == 0) return {};
  return ForRows(rows, classes, [&](auto warps, auto floats, unsigned blocks) {
    return Launch<HingeKernel<warps.kInt, floats.kInt>>({"Hinge", blocks, kThreads, stream}, rows, classes,
                                                        FourAtATime(scores), scale, labels, scores, losses,
                                                        correct);
  });
}

}  // namespace lockstep::kernels::cuda
