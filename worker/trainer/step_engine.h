// What a rank computes its steps with, and where the state lies that they change: the processor
// (cpu_step_engine.cc) or a GPU (gpu_step_engine.cc). The rest of the trainer knows devices by this interface
// alone.
//
//   Make -> { MakeRoom -> Form -> { fill inputs -> Gradient -> AwaitGradient -> PutStats -> (the ranks' sum)
//   -> GetStats -> Update }* }*
//
// The state has a copy in the host's memory: weights(), average(), best() and optimizer_state(). On the
// processor that is the state itself; on a GPU it is pinned, and holds what Fetch brought last. Who writes to
// it says so by Store. The copy changes in Fetch and, on the processor, in Update, Average and KeepBest
// alone.
//
// INTERNAL from any call: the device failed, and its memory is lost. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"
#include "lockstep/v1/jobs.pb.h"
#include "worker/collective/collective.h"
#include "worker/engine/device/product_choices.h"
#include "worker/engine/engine.h"
#include "worker/engine/team.h"

namespace lockstep {

class StepEngine {
 public:
  enum class Copy { kWeights, kAverage, kBest };

  virtual ~StepEngine() = default;

  // The sums, for the collective: (nodes, gradient_size) in `memory`, written behind what `stream` holds.
  virtual CollectiveOptions::Memory memory() const = 0;
  virtual kernels::Stream stream() const = 0;
  virtual float* node_sums() = 0;

  // A generation with these options will come. Before its ranks connect: the first touch of much memory takes
  // long, and a peer's state may come first. RESOURCE_EXHAUSTED: as Form.
  virtual absl::Status MakeRoom(const engine::ExecutorOptions& options) = 0;
  // RESOURCE_EXHAUSTED: it does not fit, with the numbers. What an earlier Form took is given back first.
  virtual absl::Status Form(engine::ExecutorOptions options) = 0;
  // How training's large products are done: see worker/engine/device/device_products.h. After Form, and
  // UseProducts before the first Gradient. products(): the device that they are chosen on; empty where there
  // is no choice.
  virtual std::string products() const { return {}; }
  virtual absl::Status ChooseProducts(engine::ProductChoices*) { return absl::OkStatus(); }
  virtual absl::Status UseProducts(const engine::ProductChoices&) { return absl::OkStatus(); }
  virtual int64_t bytes() const = 0;  // that Form took for activations and inputs
  // The same, of the host's memory, beforehand.
  virtual absl::StatusOr<int64_t> HostBytes(const engine::ExecutorOptions& options) const = 0;
  // The precision that `wanted` means here.
  virtual absl::StatusOr<engine::Precision> PrecisionOf(v1::Precision wanted) const = 0;

  // Inputs, as engine::Executor has them; after Form.
  virtual float* features() = 0;
  virtual int32_t* tokens() = 0;
  virtual int32_t* classes() = 0;
  virtual float* targets() = 0;
  virtual void SetRows(int local_shard, int rows) = 0;

  // As engine::Executor::Gradient, from the state's weights into node_sums(). On a GPU it is queued, and done
  // when AwaitGradient returns; `ready`, which may be null, is told of parts as DeviceExecutor::Gradient has
  // it. The processor is done when it returns, and tells of none: its sums are done by the thread that would
  // begin them.
  virtual absl::Status Gradient(int64_t step, int batch_rows, const engine::PartReady& ready) = 0;
  virtual bool GradientIsDone() const = 0;
  virtual absl::Status AwaitGradient() = 0;
  // Can the next batch be filled in while a gradient is computed? After AwaitStaging, and then Bring.
  virtual bool computes_beside() const = 0;
  virtual absl::Status AwaitStaging() = 0;
  virtual absl::Status Bring(int64_t step) = 0;
  // What follows the rows' own stats in the first row of node_sums: (kStats - engine::kSamples).
  virtual absl::Status PutStats(const float* stats) = 0;
  // All stats of the first row: (kStats).
  virtual absl::Status GetStats(float* stats) = 0;
  // engine::Optimizer::Apply with the first row. Returns the norm; not finite: nothing was changed.
  virtual absl::StatusOr<float> Update(int64_t step, double learning_rate) = 0;
  virtual absl::Status Average(double decay) = 0;
  // best = `judged`.
  virtual absl::Status KeepBest(Copy judged) = 0;

  // As engine::Executor's, with these weights.
  virtual absl::Status Predict(Copy weights, const float* x, int rows, float* out) = 0;
  virtual absl::Status TokenLosses(Copy weights, const int32_t* x, const int32_t* classes, int rows,
                                   float* losses, float* correct) = 0;

  // The host's copy; (flat_size) each. average: empty without train.ema, best: without early stopping.
  std::span<float> weights() const { return weights_; }
  std::span<float> average() const { return average_; }
  std::span<float> best() const { return best_; }
  std::span<float> of(Copy copy) const {
    return copy == Copy::kWeights ? weights_ : copy == Copy::kAverage ? average_ : best_;
  }
  const std::vector<engine::Optimizer::State>& optimizer_state() const { return optimizer_state_; }
  virtual absl::Status Fetch() = 0;
  virtual absl::Status Store() = 0;
  // Where the state itself has what the host's copy has at `copy`; after MakeRoom. Who writes there says so
  // by HostIsBehind.
  virtual float* StateOf(float* copy) { return copy; }
  virtual void HostIsBehind() {}
  // Of the state itself at these stretches of the copy; after MakeRoom. Equal on all ranks with this kind of
  // engine whose state has the same bits there.
  virtual absl::StatusOr<uint64_t> Hash(std::span<const std::span<float>> stretches) = 0;

 protected:
  std::span<float> weights_, average_, best_;
  std::vector<engine::Optimizer::State> optimizer_state_;
};

// `team` outlives the engine. INVALID_ARGUMENT: as engine::MakeOptimizer.
absl::StatusOr<std::unique_ptr<StepEngine>> MakeCpuStepEngine(std::shared_ptr<const engine::Model> model,
                                                              const v1::JobSpec& spec, engine::Team* team);
// On this process's first GPU. UNIMPLEMENTED: a layer or the optimizer has no kernel; names it.
absl::StatusOr<std::unique_ptr<StepEngine>> MakeGpuStepEngine(std::shared_ptr<const engine::Model> model,
                                                              const v1::JobSpec& spec);

}  // namespace lockstep
