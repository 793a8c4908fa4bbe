// One rank of a job on the device that a test has: a GPU, or the emulation.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kernels/cuda/device_for_test.h"
#include "worker/engine/device/device_executor.h"
#include "worker/engine/device/device_optimizer.h"
#include "worker/engine/device/device_plan.h"
#include "worker/models/test_job.h"

namespace lockstep::engine {

class DeviceRank {
 public:
  DeviceRank(const std::shared_ptr<const Model>& model, const v1::JobSpec& spec,
             const ExecutorOptions& options)
      : size_(model->gradient_size()) {
    v1::JobSpec complete = spec;
    if (complete.train().optimizer().kind_case() == v1::OptimizerSpec::KIND_NOT_SET) {
      complete.mutable_train()->mutable_optimizer()->mutable_sgd();
    }
    plan_ = Value(PlanDevice(*model, complete, options));
    stream_ = Value(kernels::DeviceStream::Make(0));
    arena_ = Value(DeviceArena::Make(0, plan_.total()));  // not a byte more
    ExecutorOptions bound = options;
    if (plan_.rounded > 0) {
      rounded_ = reinterpret_cast<uint16_t*>(Value(arena_.Take(plan_.rounded)));
      bound.rounded_weights = rounded_;
    }
    executor_ = Value(DeviceExecutor::Make(model, complete, bound, arena_, stream_));
    optimizer_ = Value(DeviceOptimizer::Make(complete.train(), *model, arena_, stream_));
    weights_ = reinterpret_cast<float*>(Value(arena_.Take(model->flat_size() * 4)));
    optimizer_->KeepRounded(rounded_, {});
    std::vector<float> first(static_cast<size_t>(model->flat_size()));
    model->Initialize(spec.seed(), first.data());
    SetWeights(first);
  }

  void SetWeights(const std::vector<float>& weights) {
    EXPECT_TRUE(stream_.ToDevice(weights_, weights.data(), weights.size() * 4).ok());
    if (rounded_ != nullptr) {
      EXPECT_TRUE(optimizer_->Round(weights_, 0).ok());
    }
    EXPECT_TRUE(stream_.Wait().ok());
  }
  std::vector<float> Weights() const { return Fetch(weights_, size_ - kStats); }

  // (nodes, gradient_size)
  std::vector<float> Gradient(int64_t step, int batch_rows, const PartReady& ready = nullptr) {
    const absl::Status status = executor_->Gradient(weights_, step, batch_rows, ready);
    EXPECT_TRUE(status.ok()) << status;
    return Fetch(executor_->node_sums(), executor_->nodes() * size_);
  }
  // Of the first node's sums; returns the norm.
  float Apply(int64_t step, double rate) {
    const absl::Status status = optimizer_->Apply(executor_->node_sums(), weights_, step, rate);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(stream_.Wait().ok());
    return optimizer_->norm();
  }

  template <class T>
  std::vector<T> Fetch(const T* from, int64_t count) const {
    std::vector<T> out(static_cast<size_t>(count));
    const absl::Status status = stream_.ToHost(out.data(), from, out.size() * sizeof(T));
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(stream_.Wait().ok());
    return out;
  }

  DeviceExecutor& executor() { return *executor_; }
  DeviceOptimizer& optimizer() { return *optimizer_; }
  float* weights() { return weights_; }

 private:
  template <class T>
  static T Value(absl::StatusOr<T> made) {
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  const int64_t size_;
  DevicePlan plan_;
  kernels::DeviceStream stream_;
  DeviceArena arena_;
  std::unique_ptr<DeviceExecutor> executor_;
  std::unique_ptr<DeviceOptimizer> optimizer_;
  float* weights_ = nullptr;
  uint16_t* rounded_ = nullptr;  // in bf16
};

// The job's rows of `range`.
inline void FillRank(const TestJob& job, ShardRange range, DeviceRank& rank) {
  DeviceExecutor& executor = rank.executor();
  const int64_t first = int64_t{range.begin} * job.rows_per_shard, rows = executor.capacity();
  std::copy_n(job.x.begin() + first * job.features, rows * job.features, executor.features());
  if (job.model->loss() == v1::LOSS_MEAN_SQUARED_ERROR) {
    std::copy_n(job.targets.begin() + first * job.outputs, rows * job.outputs, executor.targets());
  } else {
    const int64_t positions = job.model->positions();
    std::copy_n(job.classes.begin() + first * positions, rows * positions, executor.classes());
  }
  for (int s = 0; s < range.size(); ++s) executor.SetRows(s, job.real_rows[range.begin + s]);
}

// `options`: what the job does not say.
inline std::unique_ptr<DeviceRank> MakeDeviceRank(const TestJob& job, ShardRange range,
                                                  ExecutorOptions options) {
  options.logical_shards = job.shards;
  options.shards = range;
  options.rows_per_shard = job.rows_per_shard;
  options.seed = job.seed;
  auto rank = std::make_unique<DeviceRank>(job.model, job.spec, options);
  rank->SetWeights(job.weights);
  FillRank(job, range, *rank);
  return rank;
}
inline std::unique_ptr<DeviceRank> MakeDeviceRank(const TestJob& job, ShardRange range,
                                                  Precision precision = Precision::kFp32,
                                                  int64_t part_floats = kPartFloats) {
  ExecutorOptions options;
  options.precision = precision;
  options.part_floats = part_floats;
  return MakeDeviceRank(job, range, options);
}

}  // namespace lockstep::engine
