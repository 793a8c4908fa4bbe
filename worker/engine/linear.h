// y = f(x W^T + b): a linear layer with its activation fused in.
#pragma once

#include <string>

#include "kernels/activation.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {

// Parameters `name`.weight (outputs, inputs) and `name`.bias (outputs), initialised uniformly within
// 1 / sqrt(inputs). Returns the output value.
int AppendLinear(GraphBuilder& builder, const std::string& name, int input, int64_t outputs,
                 kernels::Activation activation);

}  // namespace lockstep::engine
