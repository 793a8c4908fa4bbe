// What the commands about one job share.
#pragma once

#include <string>

#include "client/cli/command.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

// A command with a single argument, JOB.
class JobCommand : public Command {
 public:
  void Declare(Flags* flags) override {
    flags->Positional("JOB", &job_, "The job's id, or a name for its newest job");
  }

 protected:
  std::string job_;
};

// 0, 100 or 103 for a final state; 101 for the others.
int ExitCodeOf(v1::JobState state);

// Watches the job until it is final, reporting on err. Returns its last state. CANCELLED: interrupted before
// that.
absl::StatusOr<v1::Job> FollowJob(Session* session, Client* client, const std::string& job);

}  // namespace lockstep
