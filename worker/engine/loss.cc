#include "worker/engine/loss.h"

#include <vector>

#include "kernels/cross_entropy.h"
#include "kernels/squared_error.h"

namespace lockstep::engine {
namespace {

class RowLoss : public LossOp {
 public:
  RowLoss(int64_t rows, int64_t width)
      : width_(width), losses_(rows), correct_(rows), stats_(rows * kStats) {}

  void Run(const kernels::ShardTree& tree, float scale, const int32_t* classes, const float* targets,
           float* outputs, float* stats, int64_t stride) override {
    const int shards = tree.nodes == 0 ? 0 : tree.node_end[tree.nodes - 1];
    for (int s = 0; s < shards; ++s) {
      const int64_t first = int64_t{s} * tree.rows_per_shard;
      Rows(first, tree.rows[s], scale, classes, targets, outputs);
      for (int64_t r = first; r < first + tree.rows[s]; ++r) {
        stats_[r * kStats + kLossSum] = losses_[r];
        stats_[r * kStats + kCorrect] = correct_[r];
      }
    }
    kernels::cpu::ShardColumnSum(tree, kStats, stats_.data(), kStats, stats, stride);
  }

 protected:
  virtual void Rows(int64_t first, int64_t count, float scale, const int32_t* classes, const float* targets,
                    float* outputs) = 0;

  const int64_t width_;
  std::vector<float> losses_, correct_;

 private:
  std::vector<float> stats_;  // (rows, kStats)
};

class CrossEntropy final : public RowLoss {
 public:
  using RowLoss::RowLoss;
  void Rows(int64_t first, int64_t count, float scale, const int32_t* classes, const float*,
            float* outputs) override {
    kernels::cpu::SoftmaxCrossEntropy(count, width_, scale, classes + first, outputs + first * width_,
                                      losses_.data() + first, correct_.data() + first);
  }
};

class MeanSquaredError final : public RowLoss {
 public:
  using RowLoss::RowLoss;
  void Rows(int64_t first, int64_t count, float scale, const int32_t*, const float* targets,
            float* outputs) override {
    kernels::cpu::SquaredError(count, width_, scale, targets + first * width_, outputs + first * width_,
                               losses_.data() + first);
  }
};

}  // namespace

std::unique_ptr<LossOp> MakeLoss(v1::Loss loss, int64_t rows, int64_t width) {
  if (loss == v1::LOSS_CROSS_ENTROPY) return std::make_unique<CrossEntropy>(rows, width);
  return std::make_unique<MeanSquaredError>(rows, width);
}

}  // namespace lockstep::engine
