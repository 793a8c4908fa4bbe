#include "worker/engine/team.h"

#include <immintrin.h>

#include "worker/engine/engine.h"

namespace lockstep::engine {
namespace {

// A barrier between two operations of a step is some microseconds away; a member that waits longer than this
// shares its core with someone and should not hold it.
constexpr int kSpins = 4000;

}  // namespace

Team::Team(int threads) : size_(threads < 1 ? 1 : threads) {
  for (int index = 1; index < size_; ++index) threads_.emplace_back([this, index] { Serve(index); });
}

Team::~Team() {
  ending_.store(true);
  runs_.fetch_add(1);
  runs_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Team::Wait(const std::atomic<uint32_t>& value, uint32_t old) const {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

void Team::Barrier() {
  if (size_ == 1) return;
  const uint32_t now = barriers_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(size_)) {
    arrived_.store(0, std::memory_order_relaxed);
    barriers_.store(now + 1, std::memory_order_release);
    barriers_.notify_all();
    return;
  }
  Wait(barriers_, now);
}

void Member::Barrier() const {
  if (team != nullptr) team->Barrier();
}

void Team::Run(absl::FunctionRef<void(const Member&)> work) {
  Member member;
  if (size_ == 1 || alone_) return work(member);
  member.count = size_;
  member.team = this;
  work_ = &work;
  runs_.fetch_add(1, std::memory_order_acq_rel);
  runs_.notify_all();
  work(member);
  Barrier();
}

void Team::Serve(int index) {
  PrepareComputeThread();
  Member member;
  member.index = index;
  member.count = size_;
  member.team = this;
  for (uint32_t run = 0;; ++run) {
    Wait(runs_, run);
    if (ending_.load()) return;
    (*work_)(member);
    Barrier();
  }
}

}  // namespace lockstep::engine
