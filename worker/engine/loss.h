// The end of the forward pass: rows of outputs become losses and, in place, gradients.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/shard_outer.h"
#include "worker/engine/engine.h"
#include "worker/engine/team.h"

namespace lockstep::engine {

class LossOp {
 public:
  virtual ~LossOp() = default;
  // Called by every member of the team. Turns the real rows of `outputs` into scale * d(loss)/d(output), and
  // writes kRowStats stats for each node to stats + node * stride, added in the tree's order. The other rows
  // become zero. `tree` counts predictions (see Positions).
  virtual void Run(const Member& member, const kernels::ShardTree& tree, float scale, const int32_t* classes,
                   const float* targets, float* outputs, float* stats, int64_t stride) = 0;
  // The losses alone, of predictions [0, rows): `outputs` is scratch afterwards. `correct` is 1 or 0.
  virtual void Losses(const Member& member, int64_t rows, const int32_t* classes, const float* targets,
                      float* outputs, float* losses, float* correct) = 0;
};

// For `rows` predictions of `width` outputs.
// `smoothing` is of the cross-entropy's labels, in Run alone: Losses compares models, however they were
// trained.
std::unique_ptr<LossOp> MakeLoss(v1::Loss loss, int64_t rows, int64_t width, double smoothing);

}  // namespace lockstep::engine
