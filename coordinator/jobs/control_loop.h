// The control thread: takes queued events in rounds. An urgent event (a call, a change of a trainer's state)
// starts a round at once; others (progress, logs, heartbeats) wait a moment for company, so that a round's
// one fsync serves many of them. Without events it wakes once per tick.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace lockstep {

struct ControlEvent {
  std::function<void()> apply;
  // The round was undone: tell the caller. Without it the event is kept and applied again, unless it may be
  // dropped when too many wait.
  std::function<void(const absl::Status&)> fail;
  bool urgent = true;
  bool droppable = false;
};

class ControlLoop {
 public:
  struct Options {
    absl::Duration tick = absl::Milliseconds(200);
    absl::Duration company = absl::Milliseconds(25);  // how long an event that is not urgent may wait
    size_t max_round = 4096;                          // events
    size_t max_kept = 100'000;                        // events kept while the store fails
  };
  struct Hooks {
    std::function<void()> tick;            // after the events of a round, at least once per tick
    std::function<absl::Status()> commit;  // stores the round and acts, or undoes it
    std::function<bool()> pump;            // background work; true: there is more
  };

  ControlLoop(const Options& options, Hooks hooks);
  ~ControlLoop();  // events that were not applied fail with UNAVAILABLE

  void Start();
  void Post(ControlEvent event);
  // Stops after the present round; idempotent. Not from a callback.
  void Stop();

 private:
  void Run();
  bool Take(bool busy, std::vector<ControlEvent>* events);  // false: stop
  void Keep(std::vector<ControlEvent> events);

  const Options options_;
  const Hooks hooks_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<ControlEvent> queue_;  // guarded by mutex_, as what follows
  bool urgent_ = false;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point oldest_;  // arrival of the first event that waits
  std::chrono::steady_clock::time_point next_tick_;
  std::chrono::steady_clock::time_point not_before_;  // after a failed commit
  std::thread thread_;
};

}  // namespace lockstep
