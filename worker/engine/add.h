// y = a + b, of two values of one shape: the residual connection.
#pragma once

#include <string>

#include "worker/engine/graph.h"

namespace lockstep::engine {

// REQUIRES: shape(a) == shape(b). Returns the output value.
int AppendAdd(GraphBuilder& builder, const std::string& name, int a, int b);

}  // namespace lockstep::engine
