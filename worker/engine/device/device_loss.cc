#include "worker/engine/device/device_loss.h"

#include "kernels/cuda/cross_entropy.h"
#include "kernels/cuda/hinge.h"
#include "kernels/cuda/launched.h"
#include "kernels/cuda/shard_outer.h"
#include "kernels/cuda/squared_error.h"

namespace lockstep::engine {

using kernels::Launched;
using kernels::ToStatus;

// Losses, correct, and what the sums of a column need.
int64_t DeviceLoss::MemoryOf(int64_t rows, const kernels::DeviceTree& tree) {
  return 2 * rows + kernels::cuda::ColumnScratch(tree, 1);
}

Launched DeviceLoss::Rows(const kernels::DeviceStream& stream, float smoothing, int64_t first, int64_t count,
                          float scale, const int32_t* classes, const float* targets, float* outputs,
                          float* memory) const {
  float *const y = outputs + first * width_, *const losses = memory + first, *const correct = losses + rows_;
  switch (loss_) {
    case v1::LOSS_CROSS_ENTROPY:
      return kernels::cuda::SoftmaxCrossEntropy(count, width_, scale, classes + first, y, losses, correct,
                                                smoothing, stream.get());
    case v1::LOSS_HINGE:
      return kernels::cuda::Hinge(count, width_, scale, classes + first, y, losses, correct, stream.get());
    default:
      return kernels::cuda::SquaredError(count, width_, scale, targets + first * width_, y, losses,
                                         stream.get());
  }
}

absl::Status DeviceLoss::Run(const kernels::DeviceStream& stream, const kernels::DeviceTree& tree,
                             const std::vector<int>& shard_rows, float scale, const int32_t* classes,
                             const float* targets, float* outputs, float* memory, float* stats,
                             int64_t stride) const {
  const bool of_classes = loss_ != v1::LOSS_MEAN_SQUARED_ERROR;
  if (of_classes) {  // the class -1 makes zeros of what is not real
    RETURN_IF_ERROR(ToStatus(Rows(stream, smoothing_, 0, rows_, scale, classes, targets, outputs, memory)));
  } else {
    for (int s = 0; s < tree.shards; ++s) {
      const int64_t real = int64_t{shard_rows[static_cast<size_t>(s)]} * tree.positions,
                    first = tree.first(s);
      RETURN_IF_ERROR(
          ToStatus(Rows(stream, smoothing_, first, real, scale, classes, targets, outputs, memory)));
      RETURN_IF_ERROR(stream.Zero(outputs + (first + real) * width_,
                                  static_cast<size_t>((tree.most() - real) * width_) * sizeof(float)));
    }
  }
  for (int node = 0; node < tree.nodes; ++node) {
    RETURN_IF_ERROR(stream.Zero(stats + node * stride, kStats * sizeof(float)));
  }
  float* const scratch = memory + 2 * rows_;
  RETURN_IF_ERROR(ToStatus(
      kernels::cuda::ShardColumnSum(tree, 1, memory, 1, stats + kLossSum, stride, scratch, stream.get())));
  if (!of_classes) return absl::OkStatus();
  return ToStatus(kernels::cuda::ShardColumnSum(tree, 1, memory + rows_, 1, stats + kCorrect, stride, scratch,
                                                stream.get()));
}

absl::Status DeviceLoss::Losses(const kernels::DeviceStream& stream, int64_t rows, const int32_t* classes,
                                const float* targets, float* outputs, float* memory) const {
  return ToStatus(Rows(stream, 0.0f, 0, rows, 0.0f, classes, targets, outputs, memory));
}

}  // namespace lockstep::engine
