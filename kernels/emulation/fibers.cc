#include "kernels/emulation/fibers.h"

namespace lockstep::kernels::emulation {

void Fibers::Start(int count, void (*body)()) {
  if (static_cast<size_t>(count) > contexts_.size()) contexts_.resize(count);
  while (stacks_.size() < contexts_.size()) stacks_.emplace_back(new char[kStack]);
  for (int i = 0; i < count; ++i) {
    getcontext(&contexts_[i]);
    contexts_[i].uc_stack.ss_sp = stacks_[i].get();
    contexts_[i].uc_stack.ss_size = kStack;
    contexts_[i].uc_link = &scheduler_;
    makecontext(&contexts_[i], body, 0);
  }
}

void Fibers::Resume(int fiber) {
  running_ = fiber;
  swapcontext(&scheduler_, &contexts_[fiber]);
}

void Fibers::Suspend() { swapcontext(&contexts_[running_], &scheduler_); }

}  // namespace lockstep::kernels::emulation
