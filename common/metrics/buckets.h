// The buckets of everything that a step does: fixed, so that counts of several ranks and workers add up.
#pragma once

#include <array>

namespace lockstep {

// Seconds; what is above the last goes into one more bucket.
inline constexpr std::array<double, 16> kStepBuckets = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60};

}  // namespace lockstep
