// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace lockstep {

// Bytes: what the machine has available, or less where a control group (a container) allows less.
int64_t AvailableMemory();

}  // namespace lockstep
