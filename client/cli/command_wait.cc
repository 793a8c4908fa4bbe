#include <thread>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/cli/wait_condition.h"
#include "client/render/progress.h"

namespace lockstep {
namespace {

// Cancels `target` after `timeout`, unless destroyed before.
class Timer {
 public:
  Timer(absl::Duration timeout, Cancellation* target)
      : thread_([this, timeout, target] {
          if (timeout == absl::InfiniteDuration()) return;
          if (stop_.SleepFor(timeout)) target->Cancel();
        }) {}
  ~Timer() {
    stop_.Cancel();
    thread_.join();
  }

 private:
  Cancellation stop_;
  std::thread thread_;
};

class WaitCommand : public JobCommand {
 public:
  std::string name() const override { return "wait"; }
  std::string summary() const override {
    return "Wait until a job has ended, or for a state; the exit code says how";
  }
  std::string examples() const override {
    return "lockstep wait digits\n"
           "lockstep wait digits --for running --timeout 30s\n"
           "lockstep wait digits --for first-step && lockstep plot digits";
  }
  void Declare(Flags* flags) override {
    JobCommand::Declare(flags);
    flags->Text(
        "--for", &condition_,
        "final (default), first-step, or a state: queued, starting, running, recovering, paused, succeeded, "
        "failed, cancelled",
        "STATE");
    flags->Time("--timeout", &timeout_, "Give up after this long, with exit code 101 (default: never)");
  }

  absl::StatusOr<int> Run(Session* session) override {
    RETURN_IF_ERROR(CheckCondition(condition_));
    Cancellation stop;
    const Cancellation::Hook interrupted(&session->interrupted(), [&stop] { stop.Cancel(); });
    const auto client = session->MakeClient(session->options().coordinator, &stop);
    const Timer timer(timeout_, &stop);
    v1::Job last;
    WaitVerdict verdict = WaitVerdict::kPending;
    const absl::Status status = client->WatchJob(job_, [&](const v1::Job& job) {
      last = job;
      verdict = JudgeWait(job, condition_);
      return verdict == WaitVerdict::kPending;
    });
    if (verdict == WaitVerdict::kPending && !absl::IsCancelled(status)) RETURN_IF_ERROR(status);
    if (last.id().empty()) {
      session->err() << "stopped waiting for " << job_ << std::endl;
      return kExitNotFinished;
    }
    session->err() << StateLine(last, session->err_style()) << std::endl;
    session->Print(last, StateText(last.state()) + "\n");
    if (verdict == WaitVerdict::kPending) return kExitNotFinished;
    if (verdict == WaitVerdict::kMet && condition_ != "final") return kExitSucceeded;
    // Ended, but not as asked: a success that was not waited for is a failure of the wait.
    if (verdict == WaitVerdict::kImpossible && last.state() == v1::JOB_STATE_SUCCEEDED) return kExitFailed;
    return ExitCodeOf(last.state());
  }

 private:
  std::string condition_ = "final";
  absl::Duration timeout_ = absl::InfiniteDuration();
};

}  // namespace

std::unique_ptr<Command> MakeWaitCommand() { return std::make_unique<WaitCommand>(); }

}  // namespace lockstep
