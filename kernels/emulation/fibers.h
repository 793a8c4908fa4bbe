// Stacks that take turns on one thread of the host: the scheduler resumes one, which runs until it suspends.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace lockstep::kernels::emulation {

class Fibers {
 public:
  static constexpr size_t kStack = 64 * 1024;

  // `body` runs on each of `count` fresh stacks when it is first resumed; what older ones left undone is
  // dropped.
  void Start(int count, void (*body)());
  void Resume(int fiber);
  void Suspend();  // of the fiber that runs
  bool OnStack(uintptr_t address) const {
    return address - reinterpret_cast<uintptr_t>(stacks_[running_].get()) < kStack;
  }

 private:
  ucontext_t scheduler_;
  std::vector<ucontext_t> contexts_;
  std::vector<std::unique_ptr<char[]>> stacks_;
  int running_ = 0;
};

}  // namespace lockstep::kernels::emulation
