#include "kernels/cuda/runtime.h"

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace lockstep::kernels {
namespace {

const char* LikelyCause(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "the device's memory is full; nvidia-smi shows who else holds some";
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
      return "a kernel queued before this touched memory that is not its own; compute-sanitizer names it";
    case cudaErrorNoKernelImageForDevice:
      return "this build has no code for the device's generation; kernels are made for sm_80 and newer";
    case cudaErrorInsufficientDriver:
      return "the driver is older than the CUDA runtime of this build; update the driver";
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
      return "no such device is visible; see CUDA_VISIBLE_DEVICES and nvidia-smi";
    case cudaErrorECCUncorrectable:
      return "the device's memory is failing; dmesg shows the Xid";
    case cudaErrorLaunchTimeout:
      return "a display on this device ends long kernels";
    default:
      return "dmesg may show the driver's Xid error";
  }
}

absl::Status Check(cudaError_t error, const char* call, int device) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string text =
      absl::StrCat(call, ": ", cudaGetErrorName(error), " (", static_cast<int>(error), ") on device ", device,
                   ": ", cudaGetErrorString(error), "; ", LikelyCause(error));
  return error == cudaErrorMemoryAllocation ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

#define CUDA_CALL(device, call, ...)                                               \
  do {                                                                             \
    const absl::Status cuda_call_status = Check(call(__VA_ARGS__), #call, device); \
    if (!cuda_call_status.ok()) return cuda_call_status;                           \
  } while (false)

std::string UuidText(const cudaUUID_t& uuid) {
  std::string text = "GPU";
  for (int i = 0; i < 16; ++i) {
    char two[4];
    std::snprintf(two, sizeof(two), "%02x", static_cast<unsigned>(static_cast<unsigned char>(uuid.bytes[i])));
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += two;
  }
  return text;
}

}  // namespace

int CountDevices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

absl::StatusOr<DeviceProperties> PropertiesOf(int device) {
  cudaDeviceProp of;
  CUDA_CALL(device, cudaGetDeviceProperties, &of, device);
  CUDA_CALL(device, cudaSetDevice, device);
  size_t free = 0, all = 0;
  CUDA_CALL(device, cudaMemGetInfo, &free, &all);
  DeviceProperties properties;
  properties.name = of.name;
  properties.uuid = UuidText(of.uuid);
  properties.major = of.major, properties.minor = of.minor;
  properties.multiprocessors = of.multiProcessorCount;
  properties.bf16 = of.major >= 8;
  properties.toolkit = absl::StrCat("CUDA ", CUDART_VERSION / 1000, ".", CUDART_VERSION % 1000 / 10);
  properties.memory = static_cast<int64_t>(all);
  properties.free = static_cast<int64_t>(free);
  return properties;
}

absl::Status UseDevice(int device) {
  CUDA_CALL(device, cudaSetDevice, device);
  return absl::OkStatus();
}

absl::StatusOr<DeviceBlock> DeviceBlock::Allocate(int device, size_t bytes) {
  CUDA_CALL(device, cudaSetDevice, device);
  DeviceBlock block;
  block.device_ = device;
  CUDA_CALL(device, cudaMalloc, &block.data_, bytes == 0 ? 1 : bytes);
  block.size_ = bytes;
  return block;
}

DeviceBlock& DeviceBlock::operator=(DeviceBlock&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(device_, other.device_);
  return *this;
}

void DeviceBlock::Free() {
  if (data_ != nullptr) (void)cudaFree(data_);
}

absl::StatusOr<PinnedBlock> PinnedBlock::Allocate(int device, size_t bytes) {
  CUDA_CALL(device, cudaSetDevice, device);
  PinnedBlock block;
  CUDA_CALL(device, cudaMallocHost, &block.data_, bytes == 0 ? 1 : bytes);
  std::memset(block.data_, 0, bytes);
  block.size_ = bytes;
  return block;
}

PinnedBlock& PinnedBlock::operator=(PinnedBlock&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void PinnedBlock::Free() {
  if (data_ != nullptr) (void)cudaFreeHost(data_);
}

absl::StatusOr<DeviceStream> DeviceStream::Make(int device) {
  CUDA_CALL(device, cudaSetDevice, device);
  DeviceStream stream;
  CUDA_CALL(device, cudaStreamCreateWithFlags, &stream.stream_, cudaStreamNonBlocking);
  CUDA_CALL(device, cudaEventCreateWithFlags, &stream.event_, cudaEventDisableTiming);
  stream.device_ = device;
  return stream;
}

DeviceStream& DeviceStream::operator=(DeviceStream&& other) noexcept {
  std::swap(stream_, other.stream_);
  std::swap(event_, other.event_);
  std::swap(device_, other.device_);
  return *this;
}

void DeviceStream::Destroy() {
  if (event_ != nullptr) (void)cudaEventDestroy(event_);
  if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
}

// No bytes: a capture may refuse what does nothing.
absl::Status DeviceStream::ToDevice(void* to, const void* from, size_t bytes) const {
  if (bytes == 0) return absl::OkStatus();
  CUDA_CALL(device_, cudaMemcpyAsync, to, from, bytes, cudaMemcpyHostToDevice, stream_);
  return absl::OkStatus();
}
absl::Status DeviceStream::ToHost(void* to, const void* from, size_t bytes) const {
  if (bytes == 0) return absl::OkStatus();
  CUDA_CALL(device_, cudaMemcpyAsync, to, from, bytes, cudaMemcpyDeviceToHost, stream_);
  return absl::OkStatus();
}
absl::Status DeviceStream::OnDevice(void* to, const void* from, size_t bytes) const {
  if (bytes == 0) return absl::OkStatus();
  CUDA_CALL(device_, cudaMemcpyAsync, to, from, bytes, cudaMemcpyDeviceToDevice, stream_);
  return absl::OkStatus();
}
absl::Status DeviceStream::Zero(void* to, size_t bytes) const {
  if (bytes == 0) return absl::OkStatus();
  CUDA_CALL(device_, cudaMemsetAsync, to, 0, bytes, stream_);
  return absl::OkStatus();
}
absl::Status DeviceStream::Follow(const DeviceStream& other) const {
  CUDA_CALL(device_, cudaEventRecord, event_, other.stream_);
  CUDA_CALL(device_, cudaStreamWaitEvent, stream_, event_, 0);
  return absl::OkStatus();
}
bool DeviceStream::Passed() const { return cudaStreamQuery(stream_) != cudaErrorNotReady; }
absl::Status DeviceStream::Wait() const {
  CUDA_CALL(device_, cudaStreamSynchronize, stream_);
  return absl::OkStatus();
}

absl::StatusOr<DeviceGraph> DeviceGraph::Capture(const DeviceStream& stream,
                                                 const std::function<absl::Status()>& queue) {
  const int device = stream.device();
  // Other threads' calls are their own: NCCL has some.
  CUDA_CALL(device, cudaStreamBeginCapture, stream.get(), cudaStreamCaptureModeThreadLocal);
  const absl::Status queued = queue();
  cudaGraph_t recorded = nullptr;
  const absl::Status ended =
      Check(cudaStreamEndCapture(stream.get(), &recorded), "cudaStreamEndCapture", device);
  DeviceGraph graph;
  absl::Status status = queued.ok() ? ended : queued;
  if (status.ok()) {
    status = Check(cudaGraphInstantiateWithFlags(&graph.graph_, recorded, 0), "cudaGraphInstantiateWithFlags",
                   device);
  }
  if (recorded != nullptr) (void)cudaGraphDestroy(recorded);
  if (status.ok()) return graph;
  (void)cudaGetLastError();  // the next launch's check would take it for its own
  return status;
}

void DeviceGraph::Destroy() {
  if (graph_ != nullptr) (void)cudaGraphExecDestroy(graph_);
}

absl::Status DeviceGraph::Launch(const DeviceStream& stream) const {
  CUDA_CALL(stream.device(), cudaGraphLaunch, graph_, stream.get());
  return absl::OkStatus();
}

}  // namespace lockstep::kernels
