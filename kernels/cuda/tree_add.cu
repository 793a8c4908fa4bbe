#include "kernels/cuda/launch.h"
#include "kernels/tree_add.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void AddKernel(int64_t count, const float* source, float* target) {
  for (int64_t i = FirstItem(); i < count; i += ItemStride()) target[i] += source[i];
}

}  // namespace

absl::Status TreeAddInto(int64_t count, const float* source, float* target, Stream stream) {
  if (count == 0) return absl::OkStatus();
  AddKernel<<<Blocks(count), kThreads, 0, stream>>>(count, source, target);
  LOCKSTEP_CUDA_RETURN_IF_ERROR(cudaGetLastError());
  return absl::OkStatus();
}

}  // namespace lockstep::kernels::cuda
