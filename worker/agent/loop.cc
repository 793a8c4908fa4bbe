#include "worker/agent/loop.h"

#include <chrono>
#include <utility>

#include "absl/time/clock.h"

namespace lockstep {

void Loop::Post(Task task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ready_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void Loop::PostAfter(absl::Duration delay, Task task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    timers_.emplace(absl::Now() + delay, std::move(task));
  }
  wake_.notify_one();
}

void Loop::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopped_) {
    // Due timers first: a flood of messages must not hold up a heartbeat.
    Task task;
    if (!timers_.empty() && timers_.begin()->first <= absl::Now()) {
      task = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
    } else if (!ready_.empty()) {
      task = std::move(ready_.front());
      ready_.pop_front();
    } else if (timers_.empty()) {
      wake_.wait(lock);
      continue;
    } else {
      wake_.wait_for(lock, absl::ToChronoNanoseconds(timers_.begin()->first - absl::Now()));
      continue;
    }
    lock.unlock();
    task();
    task = nullptr;  // what it holds is freed outside of the lock
    lock.lock();
  }
}

void Loop::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_one();
}

}  // namespace lockstep
