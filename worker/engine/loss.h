// The end of the forward pass: rows of outputs become losses and, in place, gradients.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/shard_outer.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

class LossOp {
 public:
  virtual ~LossOp() = default;
  // Turns the real rows of `outputs` into scale * d(loss)/d(output), and writes kStats stats for each node to
  // stats + node * stride, added in the tree's order. The other rows are left alone.
  virtual void Run(const kernels::ShardTree& tree, float scale, const int32_t* classes, const float* targets,
                   float* outputs, float* stats, int64_t stride) = 0;
};

std::unique_ptr<LossOp> MakeLoss(v1::Loss loss, int64_t rows, int64_t width);

}  // namespace lockstep::engine
