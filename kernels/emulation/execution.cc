#include "kernels/emulation/execution.h"

#include <numeric>
#include <utility>

namespace lockstep::kernels::emulation {
namespace {

constexpr int64_t kMostThreads = 1024;
constexpr unsigned kMostBlocksYZ = 65535;

void FiberEntry() { TheExecution().RunThread(); }

std::string Text(const Extent& at) {
  return "(" + std::to_string(at.x) + ", " + std::to_string(at.y) + ", " + std::to_string(at.z) + ")";
}

// "... [with auto kKernel = lockstep::kernels::cuda::{anonymous}::SgdKernel; Arguments = ..." has SgdKernel.
std::string KernelName(const std::string& pretty) {
  const std::string mark = "kKernel = ";
  const size_t from = pretty.find(mark);
  if (from == std::string::npos) return pretty;
  std::string name = pretty.substr(from + mark.size());
  for (const char* const end : {"; Arguments", ", Arguments"})
    name = name.substr(0, name.find(end));  // GCC, Clang
  const size_t colons = name.substr(0, name.find_first_of("<(")).rfind("::");
  return colons == std::string::npos ? name : name.substr(colons + 2);
}

}  // namespace

Execution& TheExecution() {
  static Execution execution;
  return execution;
}

uint64_t Execution::Random() {  // SplitMix64
  uint64_t z = random_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void Execution::Report(int thread, const std::string& what) {
  failed_ = true;
  error_ = "kernel " + KernelName(plan_->kernel) + ", block " + Text(block_index_) + ", thread " +
           std::to_string(thread) + ": " + what;
}

void Execution::Fail(const std::string& what) {
  Report(current_, what);
  while (true) fibers_.Suspend();  // for good: nobody resumes it
}

void Execution::RunThread() {
  body_(arguments_);
  watching_ = false;
  threads_[current_].state = State::kEnded;
  while (true) fibers_.Suspend();
}

void Execution::Begin() { watching_ = threads_[current_].watched = true; }

int Execution::Run(const LaunchPlan& plan, void (*thread)(const void*), const void* arguments) {
  plan_ = &plan;
  body_ = thread;
  arguments_ = arguments;
  failed_ = false;
  first_moment_ += static_cast<uint32_t>(moments_.size());
  moments_.clear();
  block_index_ = {0, 0, 0};
  const int64_t blocks = plan.grid.count(), threads = plan.block.count();
  if (blocks == 0 || threads == 0 || threads > kMostThreads || plan.grid.y > kMostBlocksYZ ||
      plan.grid.z > kMostBlocksYZ || plan.dynamic_shared > kShared) {
    Report(0, "cannot be launched: grid " + Text(plan.grid) + ", " + std::to_string(threads) +
                  " threads a block, " + std::to_string(plan.dynamic_shared) +
                  " bytes of dynamic shared memory");
    return kLaunchFailed;
  }
  std::vector<uint32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = blocks - 1; i > 0; --i) std::swap(order[i], order[Random() % (i + 1)]);
  for (const uint32_t block : order) {
    block_ = block;
    block_index_ = {block % plan.grid.x, block / plan.grid.x % plan.grid.y,
                    block / plan.grid.x / plan.grid.y};
    RunBlock();
    if (failed_) return kLaunchFailed;
  }
  return 0;
}

void Execution::RunBlock() {
  const int count = static_cast<int>(plan_->block.count());
  threads_.assign(count, Thread());
  clocks_.assign((count + kWarp - 1) / kWarp, Clocks());
  for (Clocks& clocks : clocks_) {
    for (int lane = 0; lane < kWarp; ++lane) clocks.step[lane][lane] = 1;  // the others know of 0
  }
  interval_ = 0;
  at_barrier_ = 0;
  static_bytes_ = 0;
  if (plan_->dynamic_shared > 0) AddShared("dynamic shared memory", nullptr, plan_->dynamic_shared);
  fibers_.Start(count, FiberEntry);
  ready_.resize(count);
  std::iota(ready_.begin(), ready_.end(), 0);
  while (!ready_.empty() && !failed_) {
    std::swap(ready_[Random() % ready_.size()], ready_.back());
    current_ = ready_.back();
    ready_.pop_back();
    watching_ = threads_[current_].watched;
    fibers_.Resume(current_);
    watching_ = false;
  }
  if (!failed_) ExplainStandstill();
  for (const SharedArray& array : shared_) DeviceMemory().Remove(array.data);
  shared_.clear();
}

// Every thread has ended or waits: somebody waits for one that will not come.
void Execution::ExplainStandstill() {
  const int count = static_cast<int>(threads_.size());
  for (int waits = 0; waits < count; ++waits) {
    const Thread& waiting = threads_[waits];
    if (waiting.state != State::kAtBarrier && waiting.state != State::kAtWarp) continue;
    const bool barrier = waiting.state == State::kAtBarrier;
    const int first = barrier ? 0 : waits / kWarp * kWarp;
    for (int other = first; other < count && (barrier || other < first + kWarp); ++other) {
      const Thread& missing = threads_[other];
      if (missing.state == waiting.state || (!barrier && (waiting.mask >> (other - first) & 1) == 0))
        continue;
      Report(other, std::string(missing.state == State::kEnded ? "ends" : "waits in line ") +
                        (missing.state == State::kEnded ? "" : std::to_string(missing.line)) +
                        " without reaching the " + (barrier ? "barrier" : "warp's operation") + " in line " +
                        std::to_string(waiting.line) + ", where thread " + std::to_string(waits) +
                        " waits for it");
      return;
    }
  }
}

void Execution::AddShared(const char* name, const void* place, size_t bytes) {
  shared_.push_back({place, DeviceMemory().Add(name, bytes, nullptr)});
}

void* Execution::Static(const char* name, const void* place, size_t bytes) {
  for (const SharedArray& array : shared_) {
    if (array.place == place) return array.data;
  }
  static_bytes_ += bytes;
  if (static_bytes_ > kStaticShared) Fail("declares more than 48 KiB of static shared memory");
  AddShared(("shared array " + std::string(name)).c_str(), place, bytes);
  return shared_.back().data;
}

void* Execution::Dynamic() {
  if (plan_->dynamic_shared == 0) Fail("wants dynamic shared memory, and its launch gives none");
  return shared_.front().data;
}

}  // namespace lockstep::kernels::emulation
