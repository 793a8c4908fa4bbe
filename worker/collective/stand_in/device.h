// A CollectiveDevice without a GPU, for tests: device memory is memory of the host's, which a test may read
// and write as its own; each stream is a thread that does what is queued in order, so that work is as late as
// on a real one.
#pragma once

#include <functional>

#include "worker/collective/device.h"

namespace lockstep::stand_in {

CollectiveDevice* Device();

// Queues what a test or the NCCL stand-in wants to be done there.
void Enqueue(kernels::Stream stream, std::function<void()> work);

// Has every stream done what was queued?
bool Idle();

// Allocations that were not freed.
int LiveAllocations();

}  // namespace lockstep::stand_in
