#include "kernels/cuda/rmsprop.h"
#include "kernels/cuda/update_rules.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void RmsPropKernel(RmsPropStep step, Clip clip, int64_t count, bool four, const float* gradient,
                              float* squares, float* buffer, float* weights) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    RmsPropPack<pack.kFloats>(step, clip, gradient + at, squares + at, buffer + at, weights + at);
  });
}

}  // namespace

Launched RmsPropUpdate(const RmsPropStep& step, const Clip& clip, int64_t count, const float* gradient,
                       float* squares, float* buffer, float* weights, Stream stream) {
  if (count == 0) return {};
  return Launch<RmsPropKernel>({"RmsPropUpdate", PackBlocks(count), kThreads, stream}, step, Explicit(clip),
                               count, FourAtATime(gradient, squares, buffer, weights), gradient, squares,
                               buffer, weights);
}

}  // namespace lockstep::kernels::cuda
