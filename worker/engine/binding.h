// What an executor makes of a graph and its plan, on whatever device: the buffers of each node.
#pragma once

#include <vector>

#include "worker/engine/op.h"
#include "worker/engine/plan.h"

namespace lockstep::engine {

// After a node's Backward: to[i] += from[i], for a gradient that it could not add itself.
struct Addition {
  const float* from = nullptr;
  float* to = nullptr;
  int64_t count = 0;
};

struct Binding {
  OpContext context;
  std::vector<Addition> additions;
};

// Of node `number`, in the block `memory` of plan.floats() floats, of the host or of a device.
Binding BindingOf(const Graph& graph, const ExecutionPlan& plan, int number, const Extent& extent,
                  const ExecutorOptions& options, float* memory);

struct Gap {
  int64_t offset = 0, size = 0;
};

// What lies between the parameters of the flat buffer.
std::vector<Gap> Gaps(const Graph& graph);

}  // namespace lockstep::engine
