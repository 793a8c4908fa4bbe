// Which token comes next, given the logits of all of them. Pure.
//
// Temperature t divides the logits; 0 takes the largest (the smaller id of equals). Of the rest, top-k keeps
// the k largest, and top-p (Holtzman et al. 2020) the fewest of the most probable ones whose probabilities,
// after top-k, sum to p at least. Among those kept, the draw is a function of (seed, position) alone.
#pragma once

#include <cstdint>
#include <span>

#include "common/base/status.h"

namespace lockstep {

struct SamplingOptions {
  double temperature = 1;
  int32_t top_k = 0;  // 0: all
  double top_p = 1;
  uint64_t seed = 1;
};

// INVALID_ARGUMENT: temperature is negative or not finite, top_k is negative, top_p is not in (0, 1].
absl::Status CheckSampling(const SamplingOptions& options);

// The token at `position` (0, 1, ... of those generated). A logit of -infinity forbids its token.
// OUT_OF_RANGE: none is allowed, or one is not a number. REQUIRES: CheckSampling(options).ok().
absl::StatusOr<int32_t> SampleToken(std::span<const float> logits, const SamplingOptions& options,
                                    int64_t position);

}  // namespace lockstep
