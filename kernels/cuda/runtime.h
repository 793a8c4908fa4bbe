// Devices, their memory and their streams, as far as the engine needs them: every handle is owned, every call
// checked. An error names the call, its code, the device and the likely cause. What is queued on a stream may
// fail later: Wait says so.
//
// Siblings at link time: runtime.cc for CUDA, emulation/runtime.cc for kernels that run on the host, and
// absent/runtime.cc, which has no device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/cuda/stream.h"

struct CUgraphExec_st;

namespace lockstep::kernels {

struct DeviceProperties {
  std::string name;          // "NVIDIA H200"
  std::string uuid;          // "GPU-..."
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  bool bf16 = false;    // do its tensor cores multiply it (sm_80)?
  std::string toolkit;  // "CUDA 13.0": what the kernels were compiled with
  int64_t memory = 0;   // bytes, all of it
  int64_t free = 0;     // at this moment
};

// 0 where there is no driver or this build has no CUDA.
int CountDevices();
absl::StatusOr<DeviceProperties> PropertiesOf(int device);

// Bytes of a device, 256-byte aligned, nobody's until they are written. Freed with this object.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  // RESOURCE_EXHAUSTED: the device has not that much left.
  static absl::StatusOr<DeviceBlock> Allocate(int device, size_t bytes);
  ~DeviceBlock() { Free(); }
  DeviceBlock(DeviceBlock&& other) noexcept { *this = std::move(other); }
  DeviceBlock& operator=(DeviceBlock&& other) noexcept;
  void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void Free();
  void* data_ = nullptr;
  size_t size_ = 0;
  int device_ = 0;
};

// Bytes of the host that a device copies from and to without the host's help. Zeroed.
class PinnedBlock {
 public:
  PinnedBlock() = default;
  static absl::StatusOr<PinnedBlock> Allocate(int device, size_t bytes);
  ~PinnedBlock() { Free(); }
  PinnedBlock(PinnedBlock&& other) noexcept { *this = std::move(other); }
  PinnedBlock& operator=(PinnedBlock&& other) noexcept;
  void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void Free();
  void* data_ = nullptr;
  size_t size_ = 0;
};

// A queue of a device's work: one thing after another, beside other streams. Not thread-safe.
class DeviceStream {
 public:
  DeviceStream() = default;
  static absl::StatusOr<DeviceStream> Make(int device);
  ~DeviceStream() { Destroy(); }
  DeviceStream(DeviceStream&& other) noexcept { *this = std::move(other); }
  DeviceStream& operator=(DeviceStream&& other) noexcept;

  Stream get() const { return stream_; }
  int device() const { return device_; }

  // Queued; host memory must stay as it is until the stream has passed, and is pinned where that matters.
  absl::Status ToDevice(void* to, const void* from, size_t bytes) const;
  absl::Status ToHost(void* to, const void* from, size_t bytes) const;
  absl::Status OnDevice(void* to, const void* from, size_t bytes) const;
  absl::Status Zero(void* to, size_t bytes) const;
  // What is queued here from now on runs after what `other` holds at this moment.
  absl::Status Follow(const DeviceStream& other) const;
  // Is everything done that was queued so far? What failed is done, too: Wait says so.
  bool Passed() const;
  // Until everything queued so far is done. INTERNAL: something queued failed; the device's memory is lost.
  absl::Status Wait() const;

 private:
  void Destroy();
  Stream stream_ = nullptr;
  CUevent_st* event_ = nullptr;  // what Follow waits for
  int device_ = -1;
};

// A stretch of a stream's work, recorded once and then queued with one call. What a launch was given by value
// stays what it was; what it reads from memory, the host's pinned memory included, it reads each time.
class DeviceGraph {
 public:
  DeviceGraph() = default;
  // Records what `queue` queues on `stream`; nothing of it is done. `queue` neither waits nor allocates, and
  // launches what it launches for the first time before: a module may be loaded then. Its errors are
  // returned.
  static absl::StatusOr<DeviceGraph> Capture(const DeviceStream& stream,
                                             const std::function<absl::Status()>& queue);
  ~DeviceGraph() { Destroy(); }
  DeviceGraph(DeviceGraph&& other) noexcept { *this = std::move(other); }
  DeviceGraph& operator=(DeviceGraph&& other) noexcept {
    std::swap(graph_, other.graph_);
    return *this;
  }

  // Queued. REQUIRES: it was captured on this stream's device.
  absl::Status Launch(const DeviceStream& stream) const;

 private:
  void Destroy();
  CUgraphExec_st* graph_ = nullptr;
};

// Makes `device` the one that this thread launches on.
absl::Status UseDevice(int device);

}  // namespace lockstep::kernels
