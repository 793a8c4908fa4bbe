#include "coordinator/jobs/state_machine.h"

#include "absl/strings/ascii.h"
#include "common/base/proto_time.h"

namespace lockstep {

std::string JobStateName(v1::JobState state) {
  constexpr size_t kPrefix = sizeof("JOB_STATE_") - 1;
  const std::string name = v1::JobState_Name(state);
  return name.size() <= kPrefix ? absl::StrCat("unknown(", static_cast<int>(state), ")")
                                : absl::AsciiStrToLower(name.substr(kPrefix));
}

bool CanTransition(v1::JobState from, v1::JobState to) {
  switch (from) {
    case v1::JOB_STATE_UNSPECIFIED:
      return to == v1::JOB_STATE_QUEUED;
    case v1::JOB_STATE_QUEUED:
      return to == v1::JOB_STATE_STARTING || to == v1::JOB_STATE_PAUSED || to == v1::JOB_STATE_FAILED ||
             to == v1::JOB_STATE_CANCELLED;
    case v1::JOB_STATE_STARTING:
      return to == v1::JOB_STATE_RUNNING || to == v1::JOB_STATE_RECOVERING || to == v1::JOB_STATE_QUEUED ||
             to == v1::JOB_STATE_PAUSED || to == v1::JOB_STATE_FAILED || to == v1::JOB_STATE_CANCELLED;
    case v1::JOB_STATE_RUNNING:
      return to == v1::JOB_STATE_RECOVERING || to == v1::JOB_STATE_QUEUED || to == v1::JOB_STATE_PAUSED ||
             IsFinal(to);
    case v1::JOB_STATE_RECOVERING:
      return to == v1::JOB_STATE_RUNNING || to == v1::JOB_STATE_QUEUED || to == v1::JOB_STATE_PAUSED ||
             to == v1::JOB_STATE_FAILED || to == v1::JOB_STATE_CANCELLED;
    case v1::JOB_STATE_PAUSED:
      return to == v1::JOB_STATE_QUEUED || to == v1::JOB_STATE_CANCELLED;
    case v1::JOB_STATE_FAILED:
    case v1::JOB_STATE_CANCELLED:
      return to == v1::JOB_STATE_QUEUED;
    default:
      return false;  // SUCCEEDED, and values of a newer API
  }
}

bool IsFinal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

absl::StatusOr<StoredTransition> Transition(v1::Job* job, v1::JobState to, const std::string& reason,
                                            absl::Time now) {
  const v1::JobState from = job->state();
  if (!CanTransition(from, to)) {
    return absl::FailedPreconditionError(absl::StrCat("job ", job->id(), " (", job->name(), ") is ",
                                                      JobStateName(from), ": it cannot become ",
                                                      JobStateName(to)));
  }
  job->set_state(to);
  job->set_reason(reason);
  job->set_regrouping(false);
  if (IsFinal(to)) {
    *job->mutable_finished_at() = ToProto(now);
  } else {
    job->clear_finished_at();
  }
  if (to == v1::JOB_STATE_QUEUED || to == v1::JOB_STATE_PAUSED || IsFinal(to)) {
    job->set_pause_requested(to == v1::JOB_STATE_QUEUED && job->pause_requested());
  }
  // A final job keeps its members: people want to know where it ran.
  if (to == v1::JOB_STATE_QUEUED || to == v1::JOB_STATE_PAUSED) job->clear_members();
  return StoredTransition{job->id(), from, to, reason, now};
}

}  // namespace lockstep
