// Where the backward pass may be interrupted to say that a part of the gradient is complete, so that it is
// summed over the ranks while the rest is computed.
//
// Parameters lie in the order in which the backward pass comes to them (engine.h), so the parts are stretches
// that follow each other from the row's start:
//
//   nodes        n-1 ... b | b-1 ... a | a-1 ... 0
//   row          [0, x)    | [x, y)    | the rest, with the stats: in no part
//
// A parameter is complete once all nodes that use it are done; one that is complete before its predecessors
// waits for them. Equal on all ranks: a function of the graph and the parts' size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/engine/graph.h"

namespace lockstep::engine {

struct BackwardPart {
  size_t first_node = 0;        // the backward pass goes down to it
  size_t begin = 0, count = 0;  // floats of each row, complete by then; the last part may have none
};

// At least one part; the last goes down to node 0.
std::vector<BackwardPart> CutBackward(const Graph& graph, int64_t part_floats);

}  // namespace lockstep::engine
