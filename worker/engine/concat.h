// Values side by side along one axis.
#pragma once

#include <string>
#include <vector>

#include "worker/engine/graph.h"

namespace lockstep::engine {

struct ConcatShape {
  int64_t blocks = 1;           // of a sample: the axes before
  std::vector<int64_t> widths;  // of a block of each input: the axis and those behind it
  int64_t width = 0;            // their sum
};

// REQUIRES: at least one input; all of one shape but for `axis` (of the sample, from 0). Returns the output
// value.
int AppendConcat(GraphBuilder& builder, const std::string& name, const std::vector<int>& inputs, int axis);

}  // namespace lockstep::engine
