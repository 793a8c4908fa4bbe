// silu(gate) * up, the gated feed-forward of Llama (kernels/swiglu.h).
#pragma once

#include <string>

#include "worker/engine/graph.h"

namespace lockstep::engine {

// REQUIRES: gate and up have one shape.
int AppendSwiGlu(GraphBuilder& builder, const std::string& name, int gate, int up);

}  // namespace lockstep::engine
