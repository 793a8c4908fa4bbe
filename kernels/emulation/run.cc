#include "kernels/emulation/run.h"

#include <cstddef>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/emulation/execution.h"
#include "kernels/emulation/recording.h"

namespace lockstep::kernels::emulation {

namespace {

int RunNow(const LaunchPlan& plan, void (*thread)(const void*), const void* arguments) {
  const std::lock_guard lock(DeviceLock());
  return TheExecution().Run(plan, thread, arguments);
}

}  // namespace

int Run(const LaunchPlan& plan, void (*thread)(const void*), const void* arguments, size_t bytes) {
  if (recording == nullptr) return RunNow(plan, thread, arguments);
  std::vector<std::max_align_t> copy((bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
  std::memcpy(copy.data(), arguments, bytes);
  recording->emplace_back([plan, thread, copy = std::move(copy)] {
    if (RunNow(plan, thread, copy.data()) == 0) return absl::OkStatus();
    return absl::InternalError(std::string(plan.launcher) + ": " + Error());
  });
  return 0;
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
