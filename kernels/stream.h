// Where a CUDA kernel runs. A CUDA launcher returns once the work is queued; its pointers are device memory
// and must stay valid until the stream has passed it. Without CUDA in the build the launchers are link-time
// stubs that return UNIMPLEMENTED.
#pragma once

#include "absl/status/status.h"

struct CUstream_st;

namespace lockstep::kernels {
using Stream = CUstream_st*;  // cudaStream_t; null is the default stream
}  // namespace lockstep::kernels
