#include "kernels/cuda/launch.h"
#include "kernels/cuda/tree_add.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void AddKernel(int64_t count, const float* source, float* target) {
  for (int64_t i = FirstItem(); i < count; i += ItemStride()) target[i] += source[i];
}

}  // namespace

Launched TreeAddInto(int64_t count, const float* source, float* target, Stream stream) {
  if (count == 0) return {};
  AddKernel<<<Blocks(count), kThreads, 0, stream>>>(count, source, target);
  return LastLaunch("TreeAddInto");
}

}  // namespace lockstep::kernels::cuda
