// A name for a device that stays the same through restarts and that no other device of the fleet has, in the
// form that vendors' tools use for GPUs.
#pragma once

#include <string>

namespace lockstep {

// "CPU-0123abcd-...": made from this machine's id, the worker's name and the slot.
std::string CpuSlotUuid(const std::string& worker, int slot);

}  // namespace lockstep
