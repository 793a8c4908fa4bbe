// How long jobs waited in the queue before they were started. Not thread-safe; copied into snapshots.
#pragma once

#include <array>
#include <cstdint>

#include "absl/time/time.h"

namespace lockstep {

struct QueueWaits {
  // Seconds; what is above the last goes into one more bucket.
  static constexpr std::array<double, 11> kBounds = {0.01, 0.1, 0.5,   1,      5,     30,
                                                     120,  600, 3'600, 21'600, 86'400};

  void Add(absl::Duration wait);

  std::array<int64_t, kBounds.size() + 1> counts = {};
  double sum = 0;  // seconds
};

}  // namespace lockstep
