// How many files and connections this process may have open.
#pragma once

namespace lockstep {

// Raises the limit as far as this process may; warns where that is less than `wanted`.
void RaiseFileLimit(int wanted);

}  // namespace lockstep
