// Executor (worker/engine/engine.h) on a GPU: the same graph and the same plan of memory, bound to the
// device's kernels. Weights and node sums stay on the device; batches come through pinned staging.
//
//   fill features() or tokens(), classes() or targets() and SetRows
//   Gradient(weights, ...)   queues forward, loss, backward, and copies before them; says which parts are
//                            ready on the way. From its second step on as graphs (step_graphs.h), if
//                            options.graphs
//   AwaitStaging             before staging is filled again: the stream may still be computing
//   Bring                    the next batch, so that its copies run beside that
//
// Rows, shards and bits are as Executor promises them. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "kernels/cuda/runtime.h"
#include "worker/engine/device/arena.h"
#include "worker/engine/device/product_choices.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

class DeviceExecutor {
 public:
  // UNIMPLEMENTED: a layer of the model has no kernel on a GPU yet; the message names it. `stream`
  // outlives the executor.
  static absl::StatusOr<std::unique_ptr<DeviceExecutor>> Make(std::shared_ptr<const Model> model,
                                                              const v1::JobSpec& spec,
                                                              const ExecutorOptions& options,
                                                              DeviceArena& arena,
                                                              const kernels::DeviceStream& stream);
  // UNIMPLEMENTED: as Make, without a device.
  static absl::Status Check(std::shared_ptr<const Model> model, const ExecutorOptions& options);
  // Of an arena, by what they are for.
  struct Bytes {
    int64_t activations = 0, inputs = 0, node_sums = 0;
    int64_t total() const { return activations + inputs + node_sums; }
  };
  static absl::StatusOr<Bytes> BytesOf(const Model& model, const ExecutorOptions& options);

  virtual ~DeviceExecutor() = default;
  // Staging, laid out as Executor has it.
  virtual float* features() = 0;
  virtual int32_t* tokens() = 0;
  virtual int32_t* classes() = 0;
  virtual float* targets() = 0;
  virtual void SetRows(int local_shard, int rows) = 0;
  virtual int64_t capacity() const = 0;
  // Queues the copies of what was filled in, which is that step's batch, on a stream of their own. Gradient
  // of a step that nobody brought does it first.
  virtual absl::Status Bring(int64_t step) = 0;
  virtual absl::Status AwaitStaging() = 0;

  // As Executor::Gradient; `weights` (flat_size) and ExecutorOptions::rounded_weights are device memory.
  // Queued. `ready`, which may be null, is told of parts that follow each other from 0 on, of
  // options.part_floats each or more; what is left at the end, and the stats, are ready with the rest of the
  // stream.
  virtual absl::Status Gradient(const float* weights, int64_t step, int batch_rows,
                                const PartReady& ready) = 0;
  // Device memory: (nodes, gradient_size). What lies between the parameters is zero and must stay so.
  virtual float* node_sums() = 0;
  virtual int nodes() const = 0;
  virtual size_t graphs() const = 0;  // that were captured so far; see step_graphs.h
  // How training's large products are done: see DeviceProducts. Before the first Gradient, whose inputs they
  // leave as they are. products(): what they are chosen on; empty without ExecutorOptions::products.
  virtual std::string products() const = 0;
  virtual absl::Status ChooseProducts(const float* weights, ProductChoices* choices) = 0;
  virtual absl::Status UseProducts(const float* weights, const ProductChoices& choices) = 0;

  // As Executor::Predict and TokenLosses; x, out, classes, losses and correct are host memory. They wait.
  virtual absl::Status Predict(const float* weights, const float* x, int rows, float* out) = 0;
  virtual absl::Status TokenLosses(const float* weights, const int32_t* x, const int32_t* classes, int rows,
                                   float* losses, float* correct) = 0;
};

}  // namespace lockstep::engine
