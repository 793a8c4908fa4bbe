#include "absl/time/clock.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/render/progress.h"

namespace lockstep {

int ExitCodeOf(v1::JobState state) {
  switch (state) {
    case v1::JOB_STATE_SUCCEEDED:
      return kExitSucceeded;
    case v1::JOB_STATE_FAILED:
      return kExitFailed;
    case v1::JOB_STATE_CANCELLED:
      return kExitCancelled;
    default:
      return kExitNotFinished;
  }
}

absl::StatusOr<v1::Job> FollowJob(Session* session, Client* client, const std::string& job) {
  ProgressReporter reporter(session->err_style(), session->live());
  v1::Job last;
  const absl::Status status = client->WatchJob(job, [&](const v1::Job& now) {
    last = now;
    session->err() << reporter.Update(now, absl::Now()) << std::flush;
    return !IsFinal(now.state());
  });
  session->err() << reporter.Clear() << std::flush;
  RETURN_IF_ERROR(status);
  if (!IsFinal(last.state()))
    return absl::UnavailableError("the coordinator stopped reporting before the job's end");
  return last;
}

}  // namespace lockstep
