// Other shapes of the same elements: in the same order (reshape), or with the axes exchanged (transpose); and
// the last step of a sequence.
#pragma once

#include <string>
#include <vector>

#include "worker/engine/graph.h"

namespace lockstep::engine {

// REQUIRES: as many elements as the input has.
int AppendReshape(GraphBuilder& builder, const std::string& name, int input, std::vector<int64_t> shape);
// Axis i of the output is axis axes[i] of the input. REQUIRES: a permutation of at most kernels::kMaxAxes
// axes.
int AppendTranspose(GraphBuilder& builder, const std::string& name, int input, const std::vector<int>& axes);
// (steps, ...) -> (...)
int AppendLast(GraphBuilder& builder, const std::string& name, int input);

}  // namespace lockstep::engine
