// The life of a job: which changes of state are allowed, and what each one does to the job's fields.
//
//              submit
//                |           pause             resume
//                v   .------------------> PAUSED ----.
//             QUEUED <-------------------------------+---------------.
//                |  ^                                                | resume
//     devices    |  | a worker drains; no member is left             |
//                v  |                                                |
//            STARTING ---------.     .---> CANCELLED ----------------+
//                |             |     |                               |
//     first step |             v     |                               |
//                v        RECOVERING-+---> FAILED -------------------'
//             RUNNING <------> |     |
//                |                   '---> QUEUED, PAUSED
//                '---> SUCCEEDED, FAILED, CANCELLED, PAUSED, QUEUED
//
// RECOVERING: a member was lost and the others wait for the next generation, or the coordinator restarted and
// waits for the agents to report the job. QUEUED, STARTING and RUNNING lead to PAUSED, FAILED and CANCELLED
// as well. SUCCEEDED is the end; FAILED and CANCELLED are final until somebody resumes the job.
//
// Pure functions.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "coordinator/store/store.h"

namespace lockstep {

// "queued", "starting", ...
std::string JobStateName(v1::JobState state);

bool CanTransition(v1::JobState from, v1::JobState to);

// SUCCEEDED, FAILED or CANCELLED.
bool IsFinal(v1::JobState state);

// Moves `job` to `to`: state, reason, finished_at (set by a final state, cleared by any other) and what the
// new state makes void (members without devices, wishes fulfilled). Returns the record for the store.
// FAILED_PRECONDITION: not allowed; the job is untouched.
absl::StatusOr<StoredTransition> Transition(v1::Job* job, v1::JobState to, const std::string& reason,
                                            absl::Time now);

}  // namespace lockstep
