// An operation bound to its buffers. Made by Node::Bind while an executor is planned; Forward and Backward
// run on the step path and allocate nothing.
#pragma once

#include <cstdint>

#include "kernels/shard_outer.h"
#include "worker/engine/engine.h"
#include "worker/engine/row_invariance.h"

namespace lockstep::engine {

// What one pass over the graph is about.
struct Pass {
  const float* weights = nullptr;  // flat
  bool training = false;           // dropout on
  int64_t rows = 0;                // forward computes rows [0, rows)
  int64_t step = 0;
  const kernels::ShardTree* tree = nullptr;  // backward: the local shards, their rows and nodes
  float* node_sums = nullptr;                // backward: (nodes, gradient_size)
  int64_t gradient_size = 0;
};

// What Bind has to work with. The pointers stay valid for the executor's life.
class OpContext {
 public:
  int64_t rows = 0;  // capacity: local shards * rows_per_shard
  int64_t rows_per_shard = 0;
  int64_t first_row = 0;  // the global row of local row 0
  uint64_t seed = 0;
  int node = 0;                      // position in the graph
  const float* input = nullptr;      // (rows, input width)
  float* input_gradient = nullptr;   // null where nobody wants it
  float* output = nullptr;           // (rows, output width)
  float* output_gradient = nullptr;  // may be overwritten by Backward
  float* workspace = nullptr;
  const Parameter* parameters = nullptr;

  const Parameter& parameter(int number) const { return parameters[number]; }
};

class Op {
 public:
  virtual ~Op() = default;
  virtual void Forward(const Pass& pass) = 0;
  // Reads output_gradient; writes input_gradient (if wanted) and this op's slices of node_sums.
  virtual void Backward(const Pass& pass) = 0;
};

}  // namespace lockstep::engine
