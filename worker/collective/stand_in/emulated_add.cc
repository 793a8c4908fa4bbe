#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/cuda/tree_add.h"
#include "kernels/emulation/memory.h"
#include "kernels/emulation/run.h"
#include "worker/collective/stand_in/add.h"

namespace lockstep::stand_in {

void* AllocateForAdd(size_t bytes) {
  const std::vector<char> zeros(bytes);  // what comes from a peer is written past the emulation's eyes
  return kernels::emulation::DeviceMemory().Add("a device buffer", bytes, zeros.data());
}
void FreeForAdd(void* memory) { kernels::emulation::DeviceMemory().Remove(memory); }
bool AcceptsForAdd(const void* memory) {
  const std::lock_guard lock(kernels::emulation::DeviceLock());
  kernels::emulation::Region* nearest = nullptr;
  return kernels::emulation::DeviceMemory().Find(reinterpret_cast<uintptr_t>(memory), &nearest) != nullptr;
}
void Add(size_t count, const float* source, float* target) {
  const auto launched =
      kernels::cuda::TreeAddInto(static_cast<int64_t>(count), source, target, /*stream=*/nullptr);
  if (launched.ok()) return;
  std::fprintf(stderr, "%s\n", kernels::emulation::Error().c_str());
  std::abort();
}

}  // namespace lockstep::stand_in
