// Where every buffer of an executor lies: activations, gradients, workspaces and scratch in one block, laid
// out once by their lifetimes (memory_plan.h). Time runs forward through the nodes (0 .. n-1), the loss (n),
// and back (2n - i for node i).
//
// The gradient of a value with several consumers is written by the one that comes first on the way back and
// added to by the others; where a node passes its gradient on unchanged (a residual's add), its inputs'
// gradients share the output's memory.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/engine/engine.h"
#include "worker/engine/graph.h"
#include "worker/engine/memory_plan.h"

namespace lockstep::engine {

class ExecutionPlan {
 public:
  ExecutionPlan(const Graph& graph, const Extent& extent);

  struct Gradient {
    int buffer = -1;        // of input i; -1: nobody wants it, or it is the output's already
    bool add = false;       // the node adds to it
    int added_buffer = -1;  // the node cannot add: it writes here, and the executor adds
  };
  struct NodePlan {
    std::vector<Gradient> gradients;  // one for each input
    int output_gradient = -1;
    int workspace = -1;
    bool backward = false;  // does anything before it, or in it, learn?
  };

  const NodePlan& node(int i) const { return nodes_[i]; }
  int value(int v) const { return values_[v]; }  // buffer
  int scratch() const { return scratch_; }       // one for all nodes, so that it stays in the cache
  int64_t offset(int buffer) const { return plan_.offset(buffer); }
  int64_t floats() const { return plan_.total(); }

 private:
  MemoryPlan plan_;
  std::vector<int> values_;
  int scratch_ = -1;
  std::vector<NodePlan> nodes_;
};

}  // namespace lockstep::engine
