// audit: was each sample used exactly once per epoch?
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/render/views.h"

namespace lockstep {
namespace {

class AuditCommand : public JobCommand {
 public:
  std::string name() const override { return "audit"; }
  std::string summary() const override {
    return "Prove from a job's records that each sample was used exactly once per epoch";
  }
  std::string examples() const override {
    return "lockstep audit digits                       exits with 100 and names the first sample if it was "
           "not\n"
           "lockstep audit digits -o json";
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::AuditJobResponse audit, session->client().AuditJob(job_));
    session->Print(audit, AuditView(audit, session->out_style()));
    return audit.proved() ? kExitSucceeded : kExitFailed;
  }
};

}  // namespace

std::unique_ptr<Command> MakeAuditCommand() { return std::make_unique<AuditCommand>(); }

}  // namespace lockstep
