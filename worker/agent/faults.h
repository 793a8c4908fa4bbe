// Faults that this worker does to itself, because `lockstep chaos` asked for them. On the loop's thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lockstep/v1/chaos.pb.h"
#include "worker/agent/loop.h"
#include "worker/agent/slot.h"

namespace lockstep {

// Every kind but drain, which is the agent's own. `slots` outlive the loop's tasks. KILL_WORKER does not
// return; CUT blocks the loop: no heartbeat leaves, and the trainers are stopped, for its duration.
void DoFault(const v1::Fault& fault, const std::string& worker, Loop* loop,
             const std::vector<std::unique_ptr<Slot>>& slots);

}  // namespace lockstep
