// Which ranks the others wait for. A step ends for all when the slowest has done its own part, so that the
// time that a rank spends in the collective says nothing of it; what it spends on its own part, against the
// others, does. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lockstep {

// Of one rank, seconds for each step on average.
struct RankStep {
  double input = 0;          // waited for its batch
  double compute = 0;        // gradient and update
  double communication = 0;  // in the collective, most of it waiting for others
  double own() const { return input + compute; }
};

// Its own part takes half as long again as the median of the others', and a tenth of the step is lost to
// that. With `flagged` (it was one before) less is enough, so that a rank at the limit does not flicker.
// nullopt: no straggler. Else why, for people: "compute: 12.0 ms of a step, the others 5.0 ms".
// REQUIRES: rank < ranks.size(), ranks.size() >= 2.
std::optional<std::string> WhyStraggler(const std::vector<RankStep>& ranks, size_t rank, bool flagged);

}  // namespace lockstep
