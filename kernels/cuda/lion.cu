#include "kernels/cuda/lion.h"
#include "kernels/cuda/update_rules.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void LionKernel(LionStep step, Clip clip, int64_t count, bool four, const float* gradient,
                           float* momentum, float* weights) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    LionPack<pack.kFloats>(step, clip, gradient + at, momentum + at, weights + at);
  });
}

}  // namespace

Launched LionUpdate(const LionStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                    float* weights, Stream stream) {
  if (count == 0) return {};
  return Launch<LionKernel>({"LionUpdate", PackBlocks(count), kThreads, stream}, step, Explicit(clip), count,
                            FourAtATime(gradient, m, weights), gradient, m, weights);
}

}  // namespace lockstep::kernels::cuda
