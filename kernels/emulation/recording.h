// What a thread queues while it captures a graph (DeviceGraph in kernels/cuda/runtime.h): kept instead of
// done.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/status.h"

namespace lockstep::kernels::emulation {

using Recording = std::vector<std::function<absl::Status()>>;

// The calling thread's; null: what it queues is done at once.
inline thread_local Recording* recording = nullptr;

}  // namespace lockstep::kernels::emulation
