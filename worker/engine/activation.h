// y = f(x), element for element: kernels/activation.h as a node, where no layer before it has the activation
// fused in.
#pragma once

#include <string>

#include "kernels/activation.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {

// Returns the output value.
int AppendActivation(GraphBuilder& builder, const std::string& name, int input,
                     kernels::Activation activation);

}  // namespace lockstep::engine
