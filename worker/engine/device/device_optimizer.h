// Optimizer (worker/engine/engine.h) on a GPU: all parameters in three launches (kernels/cuda/flat_update.h).
//
//   Apply(gradient, weights, step, rate)   queues the step and the copy of its norm
//   stream().Wait(), then norm()           the gradient's norm; not finite: nothing was changed
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "kernels/cuda/runtime.h"
#include "kernels/rounding.h"
#include "worker/engine/device/arena.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

class DeviceOptimizer {
 public:
  // As MakeOptimizer. UNIMPLEMENTED: train.groups treats parameters in more ways than a step has room for.
  // `stream` outlives the optimizer.
  static absl::StatusOr<std::unique_ptr<DeviceOptimizer>> Make(const v1::TrainSpec& spec, const Model& model,
                                                               DeviceArena& arena,
                                                               const kernels::DeviceStream& stream);
  // Of an arena.
  static absl::StatusOr<int64_t> BytesOf(const v1::TrainSpec& spec, const Model& model);

  // What state() will have, without a device and without data.
  static absl::StatusOr<std::vector<Optimizer::State>> StatesOf(const v1::TrainSpec& spec,
                                                                const Model& model);

  virtual ~DeviceOptimizer() = default;
  // As Optimizer::Apply; both are device memory.
  virtual absl::Status Apply(float* gradient, float* weights, int64_t step, double learning_rate) = 0;
  virtual float norm() const = 0;
  // As Optimizer::KeepRounded and Round; `rounded` and `weights` are device memory, Round is queued.
  virtual void KeepRounded(uint16_t* rounded, const kernels::Rounding& rounding) = 0;
  virtual absl::Status Round(const float* weights, int64_t step) = 0;
  // As Optimizer::state; the data are device memory.
  virtual std::vector<Optimizer::State> state() = 0;
};

}  // namespace lockstep::engine
