#include "kernels/cuda/device_for_test.h"

#include "kernels/emulation/memory.h"
#include "kernels/emulation/run.h"

namespace lockstep::kernels {

std::string WhyNoDevice() { return ""; }
void ReorderThreads(uint64_t seed) { emulation::SetOrder(seed); }
uint64_t Repeats() { return 4; }

DeviceBytes::DeviceBytes(size_t size, const void* initial)
    : size_(size), data_(emulation::DeviceMemory().Add("a device buffer", size, initial)) {}
DeviceBytes::~DeviceBytes() { emulation::DeviceMemory().Remove(data_); }
bool DeviceBytes::Read(void* to) const {
  if (size_ > 0) std::memcpy(to, data_, size_);
  return emulation::DeviceMemory().GuardsAreWhole(data_);
}

}  // namespace lockstep::kernels
