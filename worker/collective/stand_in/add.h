// The device's addition, and the memory that it accepts: TreeAddInto under kernels/emulation
// (emulated_add.cc), or, in builds that have no emulation, on the CPU (plain_add.cc).
#pragma once

#include <cstddef>

namespace lockstep::stand_in {

void* AllocateForAdd(size_t bytes);
void FreeForAdd(void* memory);
// Is it memory of the device that others have allocated?
bool AcceptsForAdd(const void* memory);
void Add(size_t count, const float* source, float* target);

}  // namespace lockstep::stand_in
