#include "kernels/cuda/pack.h"
#include "kernels/cuda/tree_add.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void TreeAddKernel(int64_t count, bool four, const float* source, float* target) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto from = Load<pack.kFloats>(source + at);
    auto to = Load<pack.kFloats>(target + at);
    for (int k = 0; k < pack.kFloats; ++k) to[k] += from[k];
    Store(target + at, to);
  });
}

}  // namespace

Launched TreeAddInto(int64_t count, const float* source, float* target, Stream stream) {
  if (count == 0) return {};
  return Launch<TreeAddKernel>({"TreeAddInto", PackBlocks(count), kThreads, stream}, count,
                               FourAtATime(source, target), source, target);
}

}  // namespace lockstep::kernels::cuda
