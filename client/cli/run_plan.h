// How many workers `lockstep run` starts, and what that means for the spec. Pure.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

struct RunPlan {
  v1::JobSpec spec;
  int workers = 1;
};

// `workers` 0: as many as the spec's workers.max and the processors allow, at least workers.min. The job gets
// exactly as many as are started, so that it never waits and never grows, unless an override says otherwise
// ("workers.max=3"). INVALID_ARGUMENT: the spec, or more workers than logical shards.
absl::StatusOr<RunPlan> PlanRun(v1::JobSpec spec, const std::vector<std::string>& overrides, int workers,
                                int processors);

}  // namespace lockstep
