// What a job takes of a device, before it starts: a job that does not fit is refused with the numbers.
#pragma once

#include <cstdint>

#include "common/base/status.h"
#include "kernels/cuda/runtime.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

// Bytes. The weights are counted with their average (train.ema) and the best ones (train.early_stopping);
// `rounded` is their copy in bfloat16 (ExecutorOptions::rounded_weights).
struct DevicePlan {
  int64_t activations = 0, inputs = 0, node_sums = 0, rounded = 0, weights = 0, optimizer = 0;
  int64_t total() const { return activations + inputs + node_sums + rounded + weights + optimizer; }
};

// What the executor, the optimizer and the weights will take of an arena. UNIMPLEMENTED: see their Make.
absl::StatusOr<DevicePlan> PlanDevice(const Model& model, const v1::JobSpec& spec,
                                      const ExecutorOptions& options);

// RESOURCE_EXHAUSTED: the plan's numbers, what is free, and what to change.
absl::Status CheckFits(const DevicePlan& plan, const kernels::DeviceProperties& device);

}  // namespace lockstep::engine
