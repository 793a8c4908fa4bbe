#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/render/views.h"

namespace lockstep {
namespace {

class DescribeCommand : public JobCommand {
 public:
  std::string name() const override { return "describe"; }
  std::string summary() const override { return "Everything about one job: state, devices, metrics, spec"; }
  std::string examples() const override {
    return "lockstep describe digits\nlockstep describe digits -o yaml";
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::Job job, session->client().GetJob(job_));
    session->Print(job, JobView(job, absl::Now(), session->out_style()));
    return kExitSucceeded;
  }
};

}  // namespace

std::unique_ptr<Command> MakeDescribeCommand() { return std::make_unique<DescribeCommand>(); }

}  // namespace lockstep
