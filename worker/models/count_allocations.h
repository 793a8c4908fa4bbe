// For tests: how often this program has called operator new.
#pragma once

#include <cstdint>

namespace lockstep::engine {

int64_t AllocationsSoFar();

}  // namespace lockstep::engine
