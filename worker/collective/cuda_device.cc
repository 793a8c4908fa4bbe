#include <cuda_runtime_api.h>

#include "kernels/cuda/launched.h"
#include "kernels/cuda/tree_add.h"
#include "worker/collective/device.h"

namespace lockstep {
namespace {

absl::Status Check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(call, ": ", cudaGetErrorName(error), ": ",
                                          cudaGetErrorString(error),
                                          "; nvidia-smi and the kernel's log (Xid) say more"));
}
#define CUDA_CALL(function, ...) Check(function(__VA_ARGS__), #function)

cudaEvent_t Event(DeviceEvent event) { return static_cast<cudaEvent_t>(event); }

class CudaDevice : public CollectiveDevice {
 public:
  bool Holds(const void* pointer) override {
    cudaPointerAttributes attributes;
    if (cudaPointerGetAttributes(&attributes, pointer) != cudaSuccess) {
      cudaGetLastError();  // is not to be taken for a launch's
      return false;
    }
    return attributes.type == cudaMemoryTypeDevice;
  }
  absl::StatusOr<void*> Allocate(size_t bytes) override {
    void* memory = nullptr;
    RETURN_IF_ERROR(CUDA_CALL(cudaMalloc, &memory, bytes));
    return memory;
  }
  void Free(void* memory) override { cudaFree(memory); }

  absl::StatusOr<kernels::Stream> MakeStream() override {
    // What the others wait for goes before the rest of the backward pass.
    int lowest = 0, highest = 0;
    RETURN_IF_ERROR(CUDA_CALL(cudaDeviceGetStreamPriorityRange, &lowest, &highest));
    cudaStream_t stream = nullptr;
    RETURN_IF_ERROR(CUDA_CALL(cudaStreamCreateWithPriority, &stream, cudaStreamNonBlocking, highest));
    return stream;
  }
  void DropStream(kernels::Stream stream) override { cudaStreamDestroy(stream); }
  absl::StatusOr<DeviceEvent> MakeEvent() override {
    cudaEvent_t event = nullptr;
    RETURN_IF_ERROR(CUDA_CALL(cudaEventCreateWithFlags, &event, cudaEventDisableTiming));
    return event;
  }
  void DropEvent(DeviceEvent event) override { cudaEventDestroy(Event(event)); }

  absl::Status Record(DeviceEvent event, kernels::Stream stream) override {
    return CUDA_CALL(cudaEventRecord, Event(event), stream);
  }
  absl::Status Await(kernels::Stream stream, DeviceEvent event) override {
    return CUDA_CALL(cudaStreamWaitEvent, stream, Event(event), 0);
  }
  absl::StatusOr<bool> Passed(DeviceEvent event) override {
    const cudaError_t error = cudaEventQuery(Event(event));
    if (error == cudaErrorNotReady) return false;
    RETURN_IF_ERROR(Check(error, "cudaEventQuery"));
    return true;
  }
  absl::Status Copy(void* to, const void* from, size_t bytes, kernels::Stream stream) override {
    return CUDA_CALL(cudaMemcpyAsync, to, from, bytes, cudaMemcpyDefault, stream);
  }
  absl::Status AddInto(size_t count, const float* source, float* target, kernels::Stream stream) override {
    return kernels::ToStatus(kernels::cuda::TreeAddInto(static_cast<int64_t>(count), source, target, stream));
  }
};

}  // namespace

absl::StatusOr<CollectiveDevice*> TheCollectiveDevice() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("no CUDA device: ", cudaGetErrorString(error), "; does nvidia-smi list one here?"));
  }
  static CudaDevice device;
  return &device;
}

}  // namespace lockstep
