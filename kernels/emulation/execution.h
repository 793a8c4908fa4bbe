// One launch: its blocks one after another, the threads of a block as fibers, and who was where when.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/emulation/fibers.h"
#include "kernels/emulation/memory.h"
#include "kernels/emulation/run.h"
#include "kernels/emulation/synchronization.h"

namespace lockstep::kernels::emulation {

//              ┌───────────── all have arrived ──────────────┐
//              ▼                                             │
//   kReady ─ runs ─▶ kAtBarrier (its block), kAtWarp (the lanes of its mask)
//              └───▶ kEnded
enum class State : int { kReady, kAtBarrier, kAtWarp, kEnded };

struct Thread {
  State state = State::kReady;
  bool watched = false;  // its kernel has begun
  uint32_t moment = 0;   // 0: a new one at its next access
  int line = 0;          // of what it waits for
  int vote = 0;          // 0 or 1
  WarpOperation operation = WarpOperation::kSync;
  unsigned mask = 0;
  int source = 0;
  uint64_t value = 0, result = 0;
};

class Execution {
 public:
  static constexpr int kWarp = 32;
  static constexpr size_t kStaticShared = 48 * 1024, kShared = 160 * 1024;  // sm_80 has 163 KiB for a block

  int Run(const LaunchPlan& plan, void (*thread)(const void*), const void* arguments);
  void SetOrder(uint64_t seed) { random_ = seed; }
  const std::string& error() const { return error_; }

  // What a thread calls. Those that fail do not return.
  void Begin();
  int Meet(Vote vote, int predicate, int line);
  uint64_t MeetWarp(WarpOperation operation, unsigned mask, uint64_t value, int source, int line);
  void Touch(uintptr_t address, size_t size, Access access, bool aligned);
  void* Static(const char* name, const void* place, size_t bytes);
  void* Dynamic();

  int current() const { return current_; }
  Extent block_index() const { return block_index_; }
  const LaunchPlan& plan() const { return *plan_; }
  // For the entry of a fiber.
  void RunThread();

 private:
  struct Clocks {
    uint32_t step[kWarp][kWarp] = {};  // what lane i knows of lane j
  };
  struct SharedArray {
    const void* place;
    char* data;
  };

  void RunBlock();
  void AddShared(const char* name, const void* place, size_t bytes);
  void ExplainStandstill();
  uint64_t Random();
  [[noreturn]] void Fail(const std::string& what);
  void Report(int thread, const std::string& what);
  void CompleteWarp(unsigned mask, int first);
  // Is what happened at `moment` ordered before what the current thread does now?
  bool Ordered(uint32_t moment) const;
  uint32_t Now();
  std::string Who(uint32_t moment) const;
  void TouchCell(Region& region, size_t offset, Access access, uint32_t now);

  const LaunchPlan* plan_ = nullptr;
  void (*body_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  uint64_t random_ = 1;
  std::string error_;
  bool failed_ = false;
  // Of the thread that launched: what another one does meanwhile is the host's.
  static inline thread_local bool watching_ = false;

  Fibers fibers_;
  Extent block_index_;
  uint32_t block_ = 0, interval_ = 0;
  int current_ = 0, at_barrier_ = 0;
  std::vector<Thread> threads_;
  std::vector<Clocks> clocks_;  // of each warp
  std::vector<int> ready_;
  std::vector<SharedArray> shared_;
  size_t static_bytes_ = 0;
  std::vector<Moment> moments_;  // of this launch
  uint32_t first_moment_ = kByHost + 1;
};

Execution& TheExecution();

}  // namespace lockstep::kernels::emulation
