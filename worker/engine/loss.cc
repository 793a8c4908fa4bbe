#include "worker/engine/loss.h"

#include <algorithm>
#include <vector>

#include "kernels/cross_entropy.h"
#include "kernels/hinge.h"
#include "kernels/squared_error.h"

namespace lockstep::engine {
namespace {

class RowLoss : public LossOp {
 public:
  RowLoss(int64_t rows, int64_t width)
      : width_(width), losses_(rows), correct_(rows), stats_(rows * kRowStats) {}

  void Run(const Member& member, const kernels::ShardTree& tree, float scale, const int32_t* classes,
           const float* targets, float* outputs, float* stats, int64_t stride) override {
    const Range share = member.Share(tree.shards() * tree.first(1));
    for (int s = 0; s < tree.shards(); ++s) {
      const int64_t begin = std::max(tree.first(s), share.begin);
      const int64_t real = std::clamp(tree.first(s) + tree.count(s), begin, std::max(begin, share.end));
      const int64_t end = std::max(real, std::min(tree.first(s + 1), share.end));
      Rows(true, begin, real - begin, scale, classes, targets, outputs, losses_.data(), correct_.data());
      std::fill(outputs + real * width_, outputs + end * width_, 0.0f);
    }
    member.Barrier();
    if (member.index != 0) return;
    for (int s = 0; s < tree.shards(); ++s) {
      for (int64_t r = tree.first(s); r < tree.first(s) + tree.count(s); ++r) {
        stats_[r * kRowStats + kLossSum] = losses_[r];
        stats_[r * kRowStats + kCorrect] = correct_[r];
      }
    }
    kernels::cpu::ShardColumnSum(tree, 0, kRowStats, stats_.data(), kRowStats, stats, stride);
  }

  void Losses(const Member& member, int64_t rows, const int32_t* classes, const float* targets,
              float* outputs, float* losses, float* correct) override {
    const Range share = member.Share(rows);
    Rows(false, share.begin, share.end - share.begin, 0.0f, classes, targets, outputs, losses, correct);
  }

 protected:
  // Rows [first, first + count) of every argument.
  virtual void Rows(bool training, int64_t first, int64_t count, float scale, const int32_t* classes,
                    const float* targets, float* outputs, float* losses, float* correct) = 0;

  const int64_t width_;
  std::vector<float> losses_, correct_;

 private:
  std::vector<float> stats_;  // (rows, kRowStats)
};

class CrossEntropy final : public RowLoss {
 public:
  CrossEntropy(int64_t rows, int64_t width, double smoothing)
      : RowLoss(rows, width), smoothing_(static_cast<float>(smoothing)) {}
  void Rows(bool training, int64_t first, int64_t count, float scale, const int32_t* classes, const float*,
            float* outputs, float* losses, float* correct) override {
    kernels::cpu::SoftmaxCrossEntropy(count, width_, scale, classes + first, outputs + first * width_,
                                      losses + first, correct + first, training ? smoothing_ : 0.0f);
  }

 private:
  const float smoothing_;
};

class HingeLoss final : public RowLoss {
 public:
  using RowLoss::RowLoss;
  void Rows(bool, int64_t first, int64_t count, float scale, const int32_t* classes, const float*,
            float* outputs, float* losses, float* correct) override {
    kernels::cpu::Hinge(count, width_, scale, classes + first, outputs + first * width_, losses + first,
                        correct + first);
  }
};

class MeanSquaredError final : public RowLoss {
 public:
  using RowLoss::RowLoss;
  void Rows(bool, int64_t first, int64_t count, float scale, const int32_t*, const float* targets,
            float* outputs, float* losses, float*) override {
    kernels::cpu::SquaredError(count, width_, scale, targets + first * width_, outputs + first * width_,
                               losses + first);
  }
};

}  // namespace

std::unique_ptr<LossOp> MakeLoss(v1::Loss loss, int64_t rows, int64_t width, double smoothing) {
  if (loss == v1::LOSS_CROSS_ENTROPY) return std::make_unique<CrossEntropy>(rows, width, smoothing);
  if (loss == v1::LOSS_HINGE) return std::make_unique<HingeLoss>(rows, width);
  return std::make_unique<MeanSquaredError>(rows, width);
}

}  // namespace lockstep::engine
