// workers, checkpoints and models: one call, one table.
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/render/views.h"

namespace lockstep {
namespace {

class WorkersCommand : public Command {
 public:
  std::string name() const override { return "workers"; }
  std::string summary() const override { return "List the workers, their devices and what runs on them"; }
  std::string examples() const override { return "lockstep workers\nlockstep workers -o json"; }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const auto workers, session->client().ListWorkers());
    session->Print(workers, WorkersView(workers));
    return kExitSucceeded;
  }
};

class CheckpointsCommand : public JobCommand {
 public:
  std::string name() const override { return "checkpoints"; }
  std::string summary() const override {
    return "List a job's checkpoints, newest first, verified by their checksums";
  }
  std::string examples() const override {
    return "lockstep checkpoints digits\nlockstep checkpoints digits -o json";
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const auto checkpoints, session->client().ListCheckpoints(job_));
    session->Print(checkpoints, CheckpointsView(checkpoints, absl::Now()));
    return kExitSucceeded;
  }
};

class ModelsCommand : public Command {
 public:
  std::string name() const override { return "models"; }
  std::string summary() const override { return "List the models that succeeded jobs have left"; }
  std::string examples() const override { return "lockstep models\nlockstep models -o json"; }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const auto models, session->client().ListModels());
    session->Print(models, ModelsView(models, absl::Now()));
    return kExitSucceeded;
  }
};

}  // namespace

std::unique_ptr<Command> MakeWorkersCommand() { return std::make_unique<WorkersCommand>(); }
std::unique_ptr<Command> MakeCheckpointsCommand() { return std::make_unique<CheckpointsCommand>(); }
std::unique_ptr<Command> MakeModelsCommand() { return std::make_unique<ModelsCommand>(); }

}  // namespace lockstep
