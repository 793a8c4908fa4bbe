#include "kernels/cuda/adagrad.h"
#include "kernels/cuda/update_rules.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void AdagradKernel(AdagradStep step, Clip clip, int64_t count, bool four, const float* gradient,
                              float* sums, float* weights) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    AdagradPack<pack.kFloats>(step, clip, gradient + at, sums + at, weights + at);
  });
}

}  // namespace

Launched AdagradUpdate(const AdagradStep& step, const Clip& clip, int64_t count, const float* gradient,
                       float* sums, float* weights, Stream stream) {
  if (count == 0) return {};
  return Launch<AdagradKernel>({"AdagradUpdate", PackBlocks(count), kThreads, stream}, step, Explicit(clip),
                               count, FourAtATime(gradient, sums, weights), gradient, sums, weights);
}

}  // namespace lockstep::kernels::cuda
