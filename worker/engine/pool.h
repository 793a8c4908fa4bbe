// Pooling of images: kernels/pool.h as nodes.
#pragma once

#include <string>

#include "kernels/pool.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {

enum class Pooling { kMax, kAverage };

// (height, width, channels) -> (out height, out width, channels). `shape` needs no image extents. REQUIRES:
// the kernel fits, 2 * padding <= kernel. Returns the output value.
int AppendPool(GraphBuilder& builder, const std::string& name, int input, Pooling pooling,
               kernels::PoolShape shape);
// (height, width, channels) or (steps, channels) -> (channels)
int AppendGlobalAveragePool(GraphBuilder& builder, const std::string& name, int input);

}  // namespace lockstep::engine
