// Delays between attempts: doubling from `first` to `limit`, each with jitter (half to all of it), so that
// the agents of a restarted coordinator do not come back in step. A value type, not thread-safe.
#pragma once

#include <algorithm>

#include "absl/random/random.h"
#include "absl/time/time.h"

namespace lockstep {

class Backoff {
 public:
  Backoff(absl::Duration first, absl::Duration limit) : first_(first), limit_(limit), next_(first) {}

  absl::Duration Next() {
    const absl::Duration delay = next_ * absl::Uniform(absl::IntervalClosed, random_, 0.5, 1.0);
    next_ = std::min(next_ * 2, limit_);
    return delay;
  }
  void Reset() { next_ = first_; }

 private:
  absl::Duration first_;
  absl::Duration limit_;
  absl::Duration next_;
  absl::BitGen random_;
};

}  // namespace lockstep
