// Dropout while training, the identity otherwise.
#pragma once

#include <string>

#include "worker/engine/graph.h"

namespace lockstep::engine {

// Appends a node that zeroes elements with `probability` (kernels/dropout.h); returns the output value.
int AppendDropout(GraphBuilder& builder, const std::string& name, int input, double probability);

}  // namespace lockstep::engine
