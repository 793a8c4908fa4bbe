// A batch in several passes (train.accumulation), so that activations take the memory of one pass. The rank's
// shards are cut into groups of at most `shards_per_pass`, at multiples of it; each pass leaves the sums of
// its tree nodes, which are added in the tree's order as soon as both are there: the bits are those of one
// pass over all.
#pragma once

#include <memory>

#include "worker/engine/engine.h"

namespace lockstep::engine {

// An executor whose shards can be changed for others of the same number, or fewer.
class MovableExecutor : public Executor {
 public:
  virtual void Move(ShardRange shards) = 0;
};

// As many shards as a pass has at most; all with options.passes 1.
ShardRange ShardsOfPass(const ExecutorOptions& options);

// Bytes that accumulation takes beside the executor of a pass: the batch's rows and the sums that wait.
int64_t AccumulationBytes(const Model& model, const ExecutorOptions& options);

// `inner` has room for ShardsOfPass(options).
std::unique_ptr<Executor> MakeAccumulatingExecutor(std::shared_ptr<const Model> model,
                                                   std::unique_ptr<MovableExecutor> inner,
                                                   const ExecutorOptions& options);

}  // namespace lockstep::engine
