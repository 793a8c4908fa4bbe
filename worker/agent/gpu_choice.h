// Which of this node's GPUs a worker offers: --gpus.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/agent/nvml.h"

namespace lockstep {

struct GpuChoice {
  std::vector<Gpu> gpus;
  std::string note;  // for the log: why there are none, though nobody said so; or which driver serves them
  std::shared_ptr<const Nvml> nvml;  // of these GPUs; null: there are none
};

// `wanted`: "auto" (all; none is no error), "none", a number of GPUs, or UUIDs, separated by commas.
// `cuda_major`: of the CUDA that this build was made with; 0: it has none.
// INVALID_ARGUMENT: `wanted` is none of these, or names a GPU that is not there or twice.
// FAILED_PRECONDITION: GPUs are wanted, but there is no driver, one that is too old, or fewer GPUs.
absl::StatusOr<GpuChoice> ChooseGpus(const std::string& wanted, int cuda_major);

// What this binary was compiled with; 0: no CUDA.
int CudaMajorOfThisBuild();

}  // namespace lockstep
