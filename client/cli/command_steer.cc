// cancel, pause and resume: one wish each, which the coordinator has on disk when they return.
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/render/progress.h"

namespace lockstep {
namespace {

struct Wish {
  const char* name;
  const char* summary;
  const char* examples;
  absl::StatusOr<v1::Job> (Client::*call)(const std::string& job);
};

class SteerCommand : public JobCommand {
 public:
  explicit SteerCommand(const Wish& wish) : wish_(wish) {}
  std::string name() const override { return wish_.name; }
  std::string summary() const override { return wish_.summary; }
  std::string examples() const override { return wish_.examples; }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::Job job, (session->client().*wish_.call)(job_));
    session->err() << StateLine(job, session->err_style());
    if (job.cancel_requested() && !IsFinal(job.state())) session->err() << "; it is being cancelled";
    if (job.pause_requested() && job.state() != v1::JOB_STATE_PAUSED)
      session->err() << "; it is being paused";
    session->err() << std::endl;
    session->Print(job, StateText(job.state()) + "\n");
    return kExitSucceeded;
  }

 private:
  const Wish wish_;
};

}  // namespace

std::unique_ptr<Command> MakeCancelCommand() {
  return std::make_unique<SteerCommand>(
      Wish{"cancel", "Stop a job for good at its next step", "lockstep cancel digits", &Client::CancelJob});
}

std::unique_ptr<Command> MakePauseCommand() {
  return std::make_unique<SteerCommand>(
      Wish{"pause", "Write a checkpoint, free the devices, keep the job for `resume`",
           "lockstep pause digits && lockstep wait digits --for paused", &Client::PauseJob});
}

std::unique_ptr<Command> MakeResumeCommand() {
  return std::make_unique<SteerCommand>(
      Wish{"resume", "Queue a paused, failed or cancelled job again, from its newest whole checkpoint",
           "lockstep resume digits && lockstep wait digits", &Client::ResumeJob});
}

}  // namespace lockstep
