// Where a CUDA kernel runs, and how its launch went. A launcher returns once the work is queued; its pointers
// are device memory and must stay valid until the stream has passed it. Without CUDA in the build the
// launchers are link-time stubs.
#pragma once

struct CUevent_st;
struct CUstream_st;

namespace lockstep::kernels {

using Stream = CUstream_st*;  // cudaStream_t; null is the default stream

// Small, because nvcc parses it three times in each kernel's source: absl::Status takes longer than the
// kernel does. launched.h makes one of it.
struct [[nodiscard]] Launched {
  static constexpr int kNoCuda = -1, kByLibrary = -2;

  int error = 0;  // cudaError_t; kNoCuda: this build has no kernels; kByLibrary: `what` is the whole message
  const char* what = nullptr;  // launcher that failed

  bool ok() const { return error == 0; }
};

}  // namespace lockstep::kernels
