// How many workers there should be: a pure function of what is wanted, what is there and what was wanted
// before. More at once; fewer only after nobody has wanted more for the whole cool-down, and never fewer than
// the highest numbered worker that a job holds: a StatefulSet takes the highest numbers away first.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/autoscale/options.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

// What was wanted during the cool-down: since when, how much. The newest is last; values descend.
struct ScaleHistory {
  std::deque<std::pair<absl::Time, int>> peaks;
  absl::Time since = absl::InfiniteFuture();  // of the first call
};

struct ScaleFacts {
  int64_t devices_wanted = 0;
  int devices_per_worker = 1;
  int busy_workers = 0;  // workers numbered below this must stay
  int replicas = 0;      // as the cluster has it now
};

struct ScaleDecision {
  int replicas = 0;
  std::string reason;  // for people
};

ScaleDecision DecideScale(absl::Time now, const ScaleFacts& facts, const ScaleLimits& limits,
                          ScaleHistory* history);

// What the workers say of the set `name`, whose workers are called NAME-0, NAME-1, ...
struct SetFacts {
  int devices_per_worker = 0;  // of the largest that is connected; 0: none is
  int busy_workers = 0;        // one more than the highest number of a worker with a job
};
SetFacts ReadSet(const std::string& name, const std::vector<v1::Worker>& workers);

}  // namespace lockstep
