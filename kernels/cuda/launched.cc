#include "kernels/cuda/launched.h"

#include <cuda_runtime_api.h>

#include <string>

namespace lockstep::kernels {

absl::Status ToStatus(const Launched& launched) {
  if (launched.ok()) return absl::OkStatus();
  if (launched.error == Launched::kByLibrary) return absl::InternalError(launched.what);
  const auto error = static_cast<cudaError_t>(launched.error);
  return absl::InternalError(std::string(launched.what) + ": " + cudaGetErrorName(error) + ": " +
                             cudaGetErrorString(error));
}

}  // namespace lockstep::kernels
