// kernels/cuda/runtime.h for kernels that run on the host: what is queued is done at once. A copy is held to
// what a kernel is: within a buffer, and of bytes that somebody wrote.
#include "kernels/cuda/runtime.h"

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/emulation/memory.h"
#include "kernels/emulation/recording.h"
#include "kernels/emulation/run.h"

namespace lockstep::kernels {
namespace {

constexpr int64_t kBytes = int64_t{1} << 30;  // of the one device

int64_t taken = 0;

std::atomic<bool> lost = false;

absl::Status CheckDevice(int device) {
  if (lost) return absl::InternalError("device 0 is lost (Xid 79), as the test has it");
  if (device == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("no device ", device, ": the emulation has one, 0"));
}

// Calls each(cell) for the cells of [address, address + bytes).
template <class Each>
absl::Status ForCells(const char* call, const void* address, size_t bytes, const Each& each) {
  if (bytes == 0) return absl::OkStatus();
  const std::lock_guard lock(emulation::DeviceLock());
  emulation::Region* nearest = nullptr;
  const auto at = reinterpret_cast<uintptr_t>(address);
  emulation::Region* const region = emulation::DeviceMemory().Find(at, &nearest);
  const size_t offset = region == nullptr ? 0 : at - reinterpret_cast<uintptr_t>(region->data);
  if (region == nullptr || offset + bytes > region->size) {
    return absl::InternalError(
        absl::StrCat(call, ": ", bytes, " bytes on device 0 that are not within a buffer"));
  }
  if ((offset | bytes) % region->cell != 0) region->SplitCells();
  for (size_t b = offset; b < offset + bytes; b += region->cell) {
    if (!each(region->cells[b / region->cell])) {
      return absl::InternalError(
          absl::StrCat(call, ": byte ", b, " of ", region->name, ", which nobody has written"));
    }
  }
  return absl::OkStatus();
}

absl::Status Write(const char* call, const void* address, size_t bytes) {
  return ForCells(call, address, bytes, [](emulation::Cell& cell) {
    cell.writer = emulation::kByHost << 1;
    return true;
  });
}
template <class Work>
absl::Status Queue(const Work& work) {
  if (emulation::recording == nullptr) return work();
  emulation::recording->emplace_back(work);
  return absl::OkStatus();
}

absl::Status Read(const char* call, const void* address, size_t bytes) {
  return ForCells(call, address, bytes,
                  [](const emulation::Cell& cell) { return cell.writer != emulation::kNever; });
}

}  // namespace

namespace emulation {
void LoseDevice(bool is_lost) { lost = is_lost; }
}  // namespace emulation

int CountDevices() { return 1; }

absl::StatusOr<DeviceProperties> PropertiesOf(int device) {
  if (absl::Status status = CheckDevice(device); !status.ok()) return status;
  DeviceProperties properties;
  properties.name = "emulation";
  properties.uuid = "GPU-00000000-0000-0000-0000-000000000000";
  properties.multiprocessors = 1;
  properties.bf16 = true;
  properties.toolkit = "emulation";
  properties.memory = kBytes;
  properties.free = kBytes - taken;
  return properties;
}

absl::Status UseDevice(int device) { return CheckDevice(device); }

absl::StatusOr<DeviceBlock> DeviceBlock::Allocate(int device, size_t bytes) {
  if (absl::Status status = CheckDevice(device); !status.ok()) return status;
  if (static_cast<int64_t>(bytes) > kBytes - taken) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cudaMalloc: ", bytes, " bytes on device 0, which has ", kBytes - taken, " left"));
  }
  DeviceBlock block;
  block.data_ = emulation::DeviceMemory().Add("a device block", bytes, nullptr);
  block.size_ = bytes;
  taken += static_cast<int64_t>(bytes);
  return block;
}

DeviceBlock& DeviceBlock::operator=(DeviceBlock&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void DeviceBlock::Free() {
  if (data_ == nullptr) return;
  emulation::DeviceMemory().Remove(data_);
  taken -= static_cast<int64_t>(size_);
}

absl::StatusOr<PinnedBlock> PinnedBlock::Allocate(int device, size_t bytes) {
  if (absl::Status status = CheckDevice(device); !status.ok()) return status;
  PinnedBlock block;
  block.data_ = new char[bytes]();
  block.size_ = bytes;
  return block;
}

PinnedBlock& PinnedBlock::operator=(PinnedBlock&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void PinnedBlock::Free() { delete[] static_cast<char*>(data_); }

absl::StatusOr<DeviceStream> DeviceStream::Make(int device) {
  if (absl::Status status = CheckDevice(device); !status.ok()) return status;
  DeviceStream stream;
  stream.device_ = device;
  return stream;
}

DeviceStream& DeviceStream::operator=(DeviceStream&& other) noexcept {
  std::swap(device_, other.device_);
  return *this;
}

void DeviceStream::Destroy() {}

absl::Status DeviceStream::ToDevice(void* to, const void* from, size_t bytes) const {
  return Queue([=] {
    if (absl::Status status = Write("ToDevice", to, bytes); !status.ok()) return status;
    if (bytes > 0) std::memcpy(to, from, bytes);
    return absl::OkStatus();
  });
}
absl::Status DeviceStream::ToHost(void* to, const void* from, size_t bytes) const {
  return Queue([=] {
    if (absl::Status status = Read("ToHost", from, bytes); !status.ok()) return status;
    if (bytes > 0) std::memcpy(to, from, bytes);
    return absl::OkStatus();
  });
}
absl::Status DeviceStream::OnDevice(void* to, const void* from, size_t bytes) const {
  return Queue([=] {
    if (absl::Status status = Read("OnDevice", from, bytes); !status.ok()) return status;
    if (absl::Status status = Write("OnDevice", to, bytes); !status.ok()) return status;
    if (bytes > 0) std::memmove(to, from, bytes);
    return absl::OkStatus();
  });
}
absl::Status DeviceStream::Zero(void* to, size_t bytes) const {
  return Queue([=] {
    if (absl::Status status = Write("Zero", to, bytes); !status.ok()) return status;
    if (bytes > 0) std::memset(to, 0, bytes);
    return absl::OkStatus();
  });
}
absl::Status DeviceStream::Follow(const DeviceStream&) const { return CheckDevice(0); }
bool DeviceStream::Passed() const { return true; }
absl::Status DeviceStream::Wait() const {
  if (emulation::recording != nullptr) return absl::InternalError("a capture must not wait for its stream");
  return CheckDevice(0);
}

absl::StatusOr<DeviceGraph> DeviceGraph::Capture(const DeviceStream&,
                                                 const std::function<absl::Status()>& queue) {
  if (emulation::recording != nullptr) return absl::InternalError("a capture within a capture");
  auto recording = std::make_unique<emulation::Recording>();
  emulation::recording = recording.get();
  const absl::Status status = queue();
  emulation::recording = nullptr;
  if (!status.ok()) return status;
  DeviceGraph graph;
  graph.graph_ = reinterpret_cast<CUgraphExec_st*>(recording.release());
  return graph;
}

void DeviceGraph::Destroy() { delete reinterpret_cast<emulation::Recording*>(graph_); }

absl::Status DeviceGraph::Launch(const DeviceStream&) const {
  for (const auto& step : *reinterpret_cast<const emulation::Recording*>(graph_)) {
    if (absl::Status status = step(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace lockstep::kernels
