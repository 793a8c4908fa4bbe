#include "kernels/emulation/run.h"

#include "kernels/emulation/execution.h"

namespace lockstep::kernels::emulation {

int Run(const LaunchPlan& plan, void (*thread)(const void*), const void* arguments) {
  const std::lock_guard lock(DeviceLock());
  return TheExecution().Run(plan, thread, arguments);
}
const std::string& Error() { return TheExecution().error(); }
void SetOrder(uint64_t seed) { TheExecution().SetOrder(seed); }

void BeginKernel() { TheExecution().Begin(); }
Extent ThreadIndex() {
  const Extent& block = TheExecution().plan().block;
  const auto thread = static_cast<unsigned>(TheExecution().current());
  return {thread % block.x, thread / block.x % block.y, thread / block.x / block.y};
}
Extent BlockIndex() { return TheExecution().block_index(); }
Extent BlockExtent() { return TheExecution().plan().block; }
Extent GridExtent() { return TheExecution().plan().grid; }
void* DynamicShared() { return TheExecution().Dynamic(); }
void* StaticShared(const char* name, const void* place, size_t bytes) {
  return TheExecution().Static(name, place, bytes);
}

int Barrier(Vote vote, int predicate, int line) { return TheExecution().Meet(vote, predicate, line); }
uint64_t WarpMeet(WarpOperation operation, unsigned mask, uint64_t value, int source, int line) {
  return TheExecution().MeetWarp(operation, mask, value, source, line);
}
int Lane() { return TheExecution().current() % Execution::kWarp; }
void BeginAtomic(void* address, size_t bytes) {
  TheExecution().Touch(reinterpret_cast<uintptr_t>(address), bytes, Access::kAtomic, true);
}

}  // namespace lockstep::kernels::emulation
