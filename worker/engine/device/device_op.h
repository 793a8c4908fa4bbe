// An operation bound to a GPU: the sibling of Op (worker/engine/op.h), made of the same Node, over the same
// plan of memory. Forward and Backward queue kernels on the pass's stream and return; nothing is allocated,
// nothing waits.
#pragma once

#include <cstdint>

#include "kernels/cuda/shard_tree.h"
#include "kernels/cuda/stream.h"
#include "kernels/gemm.h"
#include "kernels/shard_outer.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {

// What one pass over the graph is about, as Pass. The pointers are device memory.
struct DevicePass {
  const float* weights = nullptr;     // flat
  const uint16_t* rounded = nullptr;  // the weights rounded to bfloat16 (kernels/rounding.h), or null
  bool training = false;              // dropout on, batch statistics
  int64_t rows = 0;                   // forward computes rows [0, rows); a row is one sample
  const int64_t* step = nullptr;      // a launch that is replayed reads it anew
  int64_t first_row = 0;              // row 0's place in the whole batch
  int batch_rows = 0;                 // real rows of the whole batch, over all ranks
  kernels::DeviceTree tree;
  const int* shard_rows = nullptr;  // tree.rows and
  const int* node_end = nullptr;    // tree.node_end, on the host
  float* node_sums = nullptr;       // backward: (nodes, gradient_size)
  int64_t gradient_size = 0;
  kernels::Stream stream = nullptr;

  // The weights from `offset` on are the product's b.
  void TakeWeights(int64_t offset, kernels::GemmArguments* product) const {
    product->b = weights + offset;
    product->b_rounded = rounded == nullptr ? nullptr : rounded + offset;
  }
};

// A batch before it goes to the device, in the host's memory.
struct HostBatch {
  const int32_t* tokens = nullptr;  // (rows, steps), of a model that reads tokens
  kernels::ShardTree tree;
};

class DeviceOp {
 public:
  virtual ~DeviceOp() = default;
  // What the operation wants to have on the device besides its operands: `host` becomes
  // OpContext::device_constants, and OpContext::staging is copied before each training pass.
  virtual void FillConstants(void* /*host*/) const {}
  virtual void Stage(const HostBatch&) {}
  virtual kernels::Launched Forward(const DevicePass& pass) = 0;
  // As Op::Backward.
  virtual kernels::Launched Backward(const DevicePass& pass) = 0;
};

// The tree for matrices with `positions` rows for each sample.
inline kernels::DeviceTree Positions(kernels::DeviceTree tree, int64_t positions) {
  tree.positions *= static_cast<int>(positions);
  return tree;
}

// The shape alone, as scratch is planned for.
inline kernels::DeviceTree TreeOf(const Extent& extent) {
  kernels::DeviceTree tree;
  tree.rows_per_shard = static_cast<int>(extent.rows_per_shard);
  tree.nodes = extent.nodes;
  tree.shards = static_cast<int>(extent.rows / extent.rows_per_shard);
  return tree;
}

#define RETURN_IF_NOT_LAUNCHED(expression)                                                       \
  do {                                                                                           \
    if (const ::lockstep::kernels::Launched launch_result = (expression); !launch_result.ok()) { \
      return launch_result;                                                                      \
    }                                                                                            \
  } while (false)

}  // namespace lockstep::engine
