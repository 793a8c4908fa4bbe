// LossOp (worker/engine/loss.h) on a GPU.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/status.h"
#include "kernels/cuda/runtime.h"
#include "worker/engine/device/device_op.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

class DeviceLoss {
 public:
  // For `rows` predictions of `width` outputs; smoothing as MakeLoss has it.
  DeviceLoss(v1::Loss loss, int64_t rows, int64_t width, double smoothing)
      : loss_(loss), rows_(rows), width_(width), smoothing_(static_cast<float>(smoothing)) {}

  // Floats of device memory that Run and Losses need as `memory`.
  static int64_t MemoryOf(int64_t rows, const kernels::DeviceTree& tree);

  // Queues LossOp::Run. `shard_rows` are the tree's real rows, on the host; a class of a row that is not real
  // is -1. `tree` counts predictions; `stats` is the first node's.
  absl::Status Run(const kernels::DeviceStream& stream, const kernels::DeviceTree& tree,
                   const std::vector<int>& shard_rows, float scale, const int32_t* classes,
                   const float* targets, float* outputs, float* memory, float* stats, int64_t stride) const;

  // Queues the losses alone, of predictions [0, rows); they are memory[0, rows), `correct` follows at
  // memory + capacity.
  absl::Status Losses(const kernels::DeviceStream& stream, int64_t rows, const int32_t* classes,
                      const float* targets, float* outputs, float* memory) const;
  int64_t capacity() const { return rows_; }

 private:
  kernels::Launched Rows(const kernels::DeviceStream& stream, float smoothing, int64_t first, int64_t count,
                         float scale, const int32_t* classes, const float* targets, float* outputs,
                         float* memory) const;

  const v1::Loss loss_;
  const int64_t rows_, width_;
  const float smoothing_;
};

}  // namespace lockstep::engine
