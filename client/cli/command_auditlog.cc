// auditlog: the coordinator's audit log, checked from its file.
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "common/auth/audit_chain.h"

namespace lockstep {
namespace {

class AuditlogVerifyCommand : public Command {
 public:
  std::string name() const override { return "verify"; }
  std::string summary() const override {
    return "Check that no line of an audit log was changed or taken out";
  }
  std::string examples() const override {
    return "lockstep auditlog verify /var/lib/lockstep/audit.log\n"
           "lockstep auditlog verify audit.log --noted "
           "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
  }
  void Declare(Flags* flags) override {
    flags->Positional("FILE", &file_,
                      "The file audit.log of the coordinator's data folder, or a copy, with audit.log.1 and "
                      "so on beside it");
    flags->Text("--noted", &noted_, "A SHA-256 that an earlier check printed: that line must still be there",
                "SHA256");
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const AuditSummary summary, VerifyAuditLog(file_, noted_));
    session->err()
        << file_ << " is whole. Note the last line's SHA-256 elsewhere: it shows later that the end was not "
        << "cut off or written anew" << std::endl;
    session->out() << summary.lines << " lines"
                   << (summary.files > 1 ? absl::StrCat(" in ", summary.files, " files") : "")
                   << ", the last with SHA-256 " << summary.head << std::endl;
    return kExitSucceeded;
  }

 private:
  std::string file_, noted_;
};

class AuditlogCommand : public Command {
 public:
  std::string name() const override { return "auditlog"; }
  std::string summary() const override { return "Check the coordinator's audit log"; }
  std::string examples() const override { return "lockstep auditlog verify /var/lib/lockstep/audit.log"; }
  std::vector<std::unique_ptr<Command>> Children() override {
    std::vector<std::unique_ptr<Command>> children;
    children.push_back(std::make_unique<AuditlogVerifyCommand>());
    return children;
  }
  absl::StatusOr<int> Run(Session*) override {
    return absl::InvalidArgumentError("--help shows what there is: `lockstep auditlog verify FILE`");
  }
};

}  // namespace

std::unique_ptr<Command> MakeAuditlogCommand() { return std::make_unique<AuditlogCommand>(); }

}  // namespace lockstep
