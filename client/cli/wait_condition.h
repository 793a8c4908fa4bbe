// What `lockstep wait --for` waits for. Pure.
#pragma once

#include <string>

#include "common/base/status.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

enum class WaitVerdict {
  kMet,
  kPending,
  kImpossible  // the job has ended otherwise
};

// `condition`: a state, "final", or "first-step". A state on the way to the end (queued, starting, running)
// is also met by a job that has already gone past it. INVALID_ARGUMENT: there is no such condition.
absl::Status CheckCondition(const std::string& condition);

// REQUIRES: CheckCondition(condition).ok().
WaitVerdict JudgeWait(const v1::Job& job, const std::string& condition);

}  // namespace lockstep
