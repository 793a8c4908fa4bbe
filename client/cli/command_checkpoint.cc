// checkpoint verify: is every byte of a checkpoint what its writer wrote?
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/render/text.h"
#include "client/render/views.h"
#include "common/checkpoint/describe.h"

namespace lockstep {
namespace {

class VerifyCommand : public Command {
 public:
  std::string name() const override { return "verify"; }
  std::string summary() const override {
    return "Read every byte of a job's checkpoints, or of a folder, and check its checksums";
  }
  std::string examples() const override {
    return "lockstep checkpoint verify digits              all of the job's; exits with 100 if one is "
           "damaged\n"
           "lockstep checkpoint verify ./step-000000000120  a folder of this machine, without a coordinator\n"
           "lockstep checkpoint verify /backup/checkpoints  every step-* in it";
  }
  void Declare(Flags* flags) override {
    flags->Positional(
        "JOB|FOLDER", &target_,
        "A job's id or name; or a checkpoint's folder, a model's, or one that holds checkpoints");
  }

  absl::StatusOr<int> Run(Session* session) override {
    std::error_code ignored;
    v1::ListCheckpointsResponse found;
    if (std::filesystem::is_directory(target_, ignored)) {
      ASSIGN_OR_RETURN(found, OfFolder(target_));
    } else if (target_.find('/') != std::string::npos) {
      return absl::NotFoundError(absl::StrCat("'", Printable(target_), "' is not a folder of this machine"));
    } else {
      ASSIGN_OR_RETURN(found, session->client().ListCheckpoints(target_));
    }
    if (found.checkpoints_size() == 0) {
      return absl::NotFoundError(absl::StrCat("'", Printable(target_), "' has no checkpoint"));
    }
    int damaged = 0;
    for (const v1::Checkpoint& checkpoint : found.checkpoints()) damaged += !checkpoint.whole();
    session->Print(found, CheckpointsView(found, absl::Now()));
    session->err() << found.checkpoints_size() - damaged << " whole, " << damaged << " damaged" << std::endl;
    return damaged == 0 ? kExitSucceeded : kExitFailed;
  }

 private:
  // A folder of checkpoints, if it has any in it; else it is one itself.
  static absl::StatusOr<v1::ListCheckpointsResponse> OfFolder(const std::string& path) {
    v1::ListCheckpointsResponse found;
    ASSIGN_OR_RETURN(auto inside, DescribeCheckpoints(path));
    for (v1::Checkpoint& checkpoint : inside) *found.add_checkpoints() = std::move(checkpoint);
    if (inside.empty()) *found.add_checkpoints() = DescribeCheckpoint(path);
    return found;
  }

  std::string target_;
};

class CheckpointCommand : public Command {
 public:
  std::string name() const override { return "checkpoint"; }
  std::string summary() const override { return "Verify checkpoints (`checkpoints` lists them)"; }
  std::string examples() const override { return "lockstep checkpoint verify digits"; }
  std::vector<std::unique_ptr<Command>> Children() override {
    std::vector<std::unique_ptr<Command>> children;
    children.push_back(std::make_unique<VerifyCommand>());
    return children;
  }
  absl::StatusOr<int> Run(Session*) override {
    return absl::InvalidArgumentError(
        "expected verify; `lockstep checkpoint --help` shows what it does, `lockstep checkpoints JOB` lists");
  }
};

}  // namespace

std::unique_ptr<Command> MakeCheckpointCommand() { return std::make_unique<CheckpointCommand>(); }

}  // namespace lockstep
