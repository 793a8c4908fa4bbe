// An operation bound to its buffers. Made by Node::Bind while an executor is planned; Forward and Backward
// run on the step path and allocate nothing. Every member of the trainer's team calls them (see team.h); an
// operation divides its rows, columns or heads by member.Share so that each bit is computed the same way
// whoever computes it, and calls member.Barrier() between phases that depend on each other. The executor has
// a barrier after each call.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/shard_outer.h"
#include "worker/engine/engine.h"
#include "worker/engine/team.h"

namespace lockstep::engine {

// What one pass over the graph is about.
struct Pass {
  const float* weights = nullptr;     // flat
  const uint16_t* rounded = nullptr;  // the weights rounded to bfloat16 (kernels/rounding.h), or null
  bool training = false;              // dropout on, batch statistics
  int64_t rows = 0;                   // forward computes rows [0, rows); a row is one sample
  int64_t step = 0;
  int64_t first_row = 0;  // row 0's place in the whole batch
  int batch_rows = 0;     // real rows of the whole batch, over all ranks
  const kernels::ShardTree* tree =
      nullptr;                 // training: the local shards, their rows and nodes; see Positions
  float* node_sums = nullptr;  // backward: (nodes, gradient_size)
  int64_t gradient_size = 0;

  // The weights from `offset` on are the product's b.
  void TakeWeights(int64_t offset, kernels::GemmArguments* product) const {
    product->b = weights + offset;
    product->b_rounded = rounded == nullptr ? nullptr : rounded + offset;
  }
};

// Where the gradient of one input goes.
struct InputGradient {
  float* data =
      nullptr;  // null where nobody wants it, or where it already is the output's gradient (PassesGradient)
  bool add = false;  // add to what is there instead of overwriting; only where Node::AddsInputGradient
};

class DeviceProducts;

// What Bind has to work with. The pointers stay valid for the executor's life.
class OpContext {
 public:
  int64_t rows = 0;  // capacity: local shards * rows_per_shard
  int64_t rows_per_shard = 0;
  int shards = 0;  // local ones
  int threads = 1;
  uint64_t seed = 0;
  int node = 0;  // position in the graph
  Precision precision = Precision::kFp32;
  std::vector<const float*> inputs;  // each (rows, its width); tokens are int32
  std::vector<InputGradient> input_gradients;
  float* output = nullptr;                // (rows, output width)
  float* output_gradient = nullptr;       // may be overwritten by Backward if Node::OverwritesOutputGradient
  const float* kept = nullptr;            // Node::kept ...
  const float* graph_gradient = nullptr;  // ... and the gradient of the graph's output
  float* workspace = nullptr;
  float* scratch = nullptr;
  const Parameter* parameters = nullptr;
  const void* device_constants = nullptr;  // Node::DeviceConstants
  void* staging = nullptr;                 // Node::DeviceStaging: pinned memory of the host ...
  const void* staged = nullptr;            // ... and where it comes to lie on the device
  DeviceProducts* products = nullptr;      // on a device; null: our own kernels alone

  const float* input() const { return inputs[0]; }
  const int32_t* tokens(int i = 0) const { return reinterpret_cast<const int32_t*>(inputs[i]); }
  const Parameter& parameter(int number) const { return parameters[number]; }
};

class Op {
 public:
  virtual ~Op() = default;
  virtual void Forward(const Pass& pass, const Member& member) = 0;
  // Reads output_gradient; writes input_gradients (where wanted) and this op's slices of node_sums, for each
  // node. Rows of a shard beyond its real ones hold anything finite: they must not reach node_sums.
  virtual void Backward(const Pass& pass, const Member& member) = 0;
};

// The tree for matrices with `positions` rows for each sample, as a sequence (T, C) or an image (H, W, C) is.
inline kernels::ShardTree Positions(const kernels::ShardTree& tree, int64_t positions) {
  kernels::ShardTree out = tree;
  out.positions = tree.positions * static_cast<int>(positions);
  return out;
}

}  // namespace lockstep::engine
