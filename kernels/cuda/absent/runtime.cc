// Linked in place of kernels/cuda/runtime.cc where nvcc was not found: there is no device.
#include "kernels/cuda/runtime.h"

namespace lockstep::kernels {
namespace {

absl::Status NoDevice() {
  return absl::UnimplementedError(
      "this build has no CUDA: nvcc was not found (or LOCKSTEP_CUDA was off) when it was configured");
}

}  // namespace

int CountDevices() { return 0; }
absl::StatusOr<DeviceProperties> PropertiesOf(int) { return NoDevice(); }
absl::Status UseDevice(int) { return NoDevice(); }

absl::StatusOr<DeviceBlock> DeviceBlock::Allocate(int, size_t) { return NoDevice(); }
DeviceBlock& DeviceBlock::operator=(DeviceBlock&&) noexcept { return *this; }
void DeviceBlock::Free() {}

absl::StatusOr<PinnedBlock> PinnedBlock::Allocate(int, size_t) { return NoDevice(); }
PinnedBlock& PinnedBlock::operator=(PinnedBlock&&) noexcept { return *this; }
void PinnedBlock::Free() {}

absl::StatusOr<DeviceStream> DeviceStream::Make(int) { return NoDevice(); }
DeviceStream& DeviceStream::operator=(DeviceStream&&) noexcept { return *this; }
void DeviceStream::Destroy() {}
absl::Status DeviceStream::ToDevice(void*, const void*, size_t) const { return NoDevice(); }
absl::Status DeviceStream::ToHost(void*, const void*, size_t) const { return NoDevice(); }
absl::Status DeviceStream::OnDevice(void*, const void*, size_t) const { return NoDevice(); }
absl::Status DeviceStream::Zero(void*, size_t) const { return NoDevice(); }
absl::Status DeviceStream::Follow(const DeviceStream&) const { return NoDevice(); }
bool DeviceStream::Passed() const { return true; }
absl::Status DeviceStream::Wait() const { return NoDevice(); }

absl::StatusOr<DeviceGraph> DeviceGraph::Capture(const DeviceStream&, const std::function<absl::Status()>&) {
  return NoDevice();
}
void DeviceGraph::Destroy() {}
absl::Status DeviceGraph::Launch(const DeviceStream&) const { return NoDevice(); }

}  // namespace lockstep::kernels
