// Which of the free devices of a pool a job gets: few nodes first (rule 6 of scheduler.h).
#pragma once

#include <vector>

#include "coordinator/scheduler/scheduler.h"

namespace lockstep {

// `count` of `candidates` (indices into `devices`), in rank order: by node, then as given.
// REQUIRES: count <= candidates.size().
std::vector<int> PickDevices(const std::vector<SchedulerDevice>& devices, const std::vector<int>& candidates,
                             int count);

}  // namespace lockstep
