// What the host makes of a launch.
#pragma once

#include "absl/status/status.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels {

// UNIMPLEMENTED: this build has no CUDA kernels. INTERNAL: what CUDA says.
absl::Status ToStatus(const Launched& launched);

}  // namespace lockstep::kernels
