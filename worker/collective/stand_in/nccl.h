// NCCL without a GPU, for tests: the calls of NcclCalls between processes of this machine, over sockets, on
// the streams of stand_in/device.h. It does what the collective relies on, where NCCL is unkind as well:
//
//   - communicators never block: a call that must wait for peers returns ncclInProgress
//   - a group's messages progress together, when its stream comes to them; those of one pair of ranks arrive
//     in order. Sizes that differ, a peer that was killed or has left: it hangs
//   - ncclCommAbort, from any thread, ends what hangs; the communicator's memory is gone afterwards
//   - no two threads may be in calls of one communicator: the process ends with a message if they are
#pragma once

#include <functional>
#include <string>

#include "worker/collective/nccl_api.h"

namespace lockstep::stand_in {

const NcclCalls* Nccl();

// From here on, in this process:
void SetVersion(int version);
// MakeId fails.
void FailUniqueId(NcclResult result, const std::string& text);
// Before this process queues its `group`-th group of messages, counted from 1, `fault` is called.
void SetFault(int group, std::function<void()> fault);
// The live communicators report this as their asynchronous error.
void FailAsynchronously(NcclResult result, const std::string& text);

}  // namespace lockstep::stand_in
