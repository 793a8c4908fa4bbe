// Ids of jobs: 14 characters of [0-9a-z], first the millisecond, then a counter that starts at random, so
// that they sort by submission, are never reused and are safe in paths. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/random/random.h"
#include "absl/time/time.h"

namespace lockstep {

class JobIds {
 public:
  // `last`: the greatest id so far (empty: none); every new one is greater, even if the clock was set back.
  explicit JobIds(std::string_view last);
  std::string Next(absl::Time now);

 private:
  absl::BitGen random_;
  uint64_t millis_ = 0;
  uint64_t counter_ = 0;
};

}  // namespace lockstep
