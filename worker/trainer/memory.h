// How much memory this process may still take, and whether a program fits.
#pragma once

#include <cstdint>

#include "common/base/status.h"

namespace lockstep {

inline constexpr double kMegabyte = 1e6;  // bytes

// Bytes: what the machine has available, or less where a control group (a container) allows less.
int64_t AvailableMemory();

// What a program takes on this rank, in bytes; `resident` is the part of the state that has been written to
// and so is taken already.
struct MemoryNeed {
  int64_t rows = 0;  // of a batch, on this rank
  int64_t activations = 0, state = 0, resident = 0;
};

// RESOURCE_EXHAUSTED: what is still to be taken does not fit `available`; says what to change.
absl::Status CheckFits(const MemoryNeed& need, int64_t available);

}  // namespace lockstep
