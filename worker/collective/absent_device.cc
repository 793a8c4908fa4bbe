// Linked in place of cuda_device.cc where nvcc was not found.
#include "worker/collective/device.h"

namespace lockstep {

absl::StatusOr<CollectiveDevice*> TheCollectiveDevice() {
  return absl::UnimplementedError(
      "this build has no CUDA (nvcc was not found, or LOCKSTEP_CUDA was off, when it was configured): ranks "
      "can sum on the CPU alone");
}

}  // namespace lockstep
