// An image (height, width, channels) as one vector in the order (channels, height, width), so that the
// weights of a linear layer behind it are those of PyTorch, whose images are (channels, height, width).
#pragma once

#include <string>

#include "worker/engine/graph.h"

namespace lockstep::engine {

// REQUIRES: `input` is an image. Returns the output value.
int AppendFlatten(GraphBuilder& builder, const std::string& name, int input);

}  // namespace lockstep::engine
