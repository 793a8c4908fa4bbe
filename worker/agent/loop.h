// The agent's one thread of decisions. Everything that happens (a trainer's message, a line of log, a
// process's end, an order of the coordinator, a timer) is posted here as a task and runs to its end before
// the next, so that slots, ledger and outbox need no locks. Tasks must not block.
//
// Post and PostAfter are thread-safe. Tasks still queued when Stop takes effect are dropped unrun.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>

#include "absl/time/time.h"

namespace lockstep {

class Loop {
 public:
  using Task = std::function<void()>;

  void Post(Task task);
  void PostAfter(absl::Duration delay, Task task);
  // Runs tasks on the calling thread until Stop.
  void Run();
  // Run returns after the task that is running now.
  void Stop();

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> ready_;                  // guarded by mutex_
  std::multimap<absl::Time, Task> timers_;  // guarded by mutex_
  bool stopped_ = false;                    // guarded by mutex_
};

}  // namespace lockstep
