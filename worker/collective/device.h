// What a collective over NCCL needs of CUDA: memory, streams, events and one kernel. An interface, so that
// tests run the same collective without a GPU (stand_in/device.h).
//
// A call that queues work returns at once and the work is done in the stream's order. All calls are safe from
// any thread.
#pragma once

#include <cstddef>

#include "common/base/status.h"
#include "kernels/cuda/stream.h"

namespace lockstep {

using DeviceEvent = void*;  // cudaEvent_t

class CollectiveDevice {
 public:
  virtual ~CollectiveDevice() = default;

  // Is this memory of the device?
  virtual bool Holds(const void* pointer) = 0;
  virtual absl::StatusOr<void*> Allocate(size_t bytes) = 0;
  virtual void Free(void* memory) = 0;

  // A stream of its own, which does not wait for the default stream.
  virtual absl::StatusOr<kernels::Stream> MakeStream() = 0;
  virtual void DropStream(kernels::Stream stream) = 0;
  virtual absl::StatusOr<DeviceEvent> MakeEvent() = 0;
  virtual void DropEvent(DeviceEvent event) = 0;

  // The event stands for all that `stream` holds now.
  virtual absl::Status Record(DeviceEvent event, kernels::Stream stream) = 0;
  // What is queued on `stream` from now on waits for what the event stands for.
  virtual absl::Status Await(kernels::Stream stream, DeviceEvent event) = 0;
  // Is what the event stands for done? An error of the device's is reported here.
  virtual absl::StatusOr<bool> Passed(DeviceEvent event) = 0;

  // Queues a copy; either side may be the host's.
  virtual absl::Status Copy(void* to, const void* from, size_t bytes, kernels::Stream stream) = 0;
  // Queues kernels/cuda/tree_add.h.
  virtual absl::Status AddInto(size_t count, const float* source, float* target, kernels::Stream stream) = 0;
};

// The calling thread's GPU (cuda_device.cc); FAILED_PRECONDITION: there is none; UNIMPLEMENTED: the build has
// no CUDA (absent_device.cc).
absl::StatusOr<CollectiveDevice*> TheCollectiveDevice();

}  // namespace lockstep
