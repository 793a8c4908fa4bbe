#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/render/views.h"

namespace lockstep {
namespace {

class LogsCommand : public JobCommand {
 public:
  std::string name() const override { return "logs"; }
  std::string summary() const override { return "The log lines of a job's trainers"; }
  std::string examples() const override { return "lockstep logs digits\nlockstep logs -f digits --tail 20"; }
  void Declare(Flags* flags) override {
    JobCommand::Declare(flags);
    flags->Switch("-f,--follow", &follow_, "Go on until the job ends");
    flags->Number("-n,--tail", &tail_, 1, 1 << 30, "Only the last N lines so far");
  }

  absl::StatusOr<int> Run(Session* session) override {
    v1::StreamLogsRequest request;
    request.set_job(job_);
    request.set_follow(follow_);
    request.set_tail(tail_);
    const absl::Status status = session->client().StreamLogs(request, [&](const v1::LogLine& line) {
      session->PrintItem(line, LogLineView(line, absl::LocalTimeZone()));
      return session->out().good();  // a reader such as `head` may have left
    });
    if (absl::IsCancelled(status)) return kExitNotFinished;
    RETURN_IF_ERROR(status);
    return kExitSucceeded;
  }

 private:
  bool follow_ = false;
  int tail_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeLogsCommand() { return std::make_unique<LogsCommand>(); }

}  // namespace lockstep
