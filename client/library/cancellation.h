// One switch that ends whatever a client is waiting for: calls, streams, pauses between attempts.
// Thread-safe; stays switched.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>

#include "absl/time/time.h"

namespace lockstep {

class Cancellation {
 public:
  void Cancel();
  bool cancelled() const;

  // Returns early, and false, when cancelled.
  bool SleepFor(absl::Duration duration);

  // Runs `action` on Cancel (at once if it has happened) unless the hook was destroyed before. The destructor
  // waits for an action that is running. `action` must not touch the Cancellation.
  class Hook {
   public:
    // `cancellation` may be null: never cancelled.
    Hook(Cancellation* cancellation, std::function<void()> action);
    ~Hook();
    Hook(const Hook&) = delete;
    Hook& operator=(const Hook&) = delete;

   private:
    Cancellation* const cancellation_;
    int id_ = 0;
  };

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool cancelled_ = false;
  int next_id_ = 1;
  std::map<int, std::function<void()>> actions_;
};

}  // namespace lockstep
