// How many calls one caller may make: a bucket of `burst` that fills again at `per_second`. Not thread-safe.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace lockstep {

class RateLimit {
 public:
  RateLimit(double per_second, double burst) : per_second_(per_second), burst_(burst), left_(burst) {}

  // Takes one; zero if there was one, else how long until there is.
  absl::Duration Take(absl::Time now) {
    if (last_ != absl::InfinitePast()) {
      left_ = std::min(burst_, left_ + per_second_ * std::max(0.0, absl::ToDoubleSeconds(now - last_)));
    }
    last_ = now;
    if (left_ >= 1) {
      left_ -= 1;
      return absl::ZeroDuration();
    }
    return absl::Seconds((1 - left_) / per_second_);
  }

 private:
  const double per_second_, burst_;
  double left_;
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace lockstep
