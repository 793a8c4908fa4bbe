// delete: jobs that have ended, with all that they left.
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/render/text.h"

namespace lockstep {
namespace {

class DeleteCommand : public Command {
 public:
  std::string name() const override { return "delete"; }
  std::string summary() const override {
    return "Remove jobs that have ended: checkpoints, model, log, metrics and record";
  }
  std::string examples() const override {
    return "lockstep delete digits                      its newest job; what it took is free again\n"
           "lockstep delete 01jd1 01jd2 --keep-model    the models' folders stay where they are";
  }
  void Declare(Flags* flags) override {
    flags->Positionals("JOB", &jobs_, "Ids of jobs, or names for the newest job of each");
    flags->Switch("--keep-model", &keep_model_, "Leave the model's folder where it is");
  }

  // Goes on after one that is refused; the first error is the command's.
  absl::StatusOr<int> Run(Session* session) override {
    absl::Status first;
    for (const std::string& job : jobs_) {
      const auto deleted = session->client().DeleteJob(job, keep_model_);
      if (!deleted.ok()) {
        if (first.ok()) {
          first = deleted.status();
        } else {
          session->err() << "error: " << deleted.status().message() << std::endl;
        }
        continue;
      }
      session->err() << deleted->job().name() << " (" << deleted->job().id() << ") is deleted, "
                     << BytesText(deleted->freed_bytes()) << " of files" << std::endl;
      session->Print(*deleted, deleted->job().id() + "\n");
    }
    RETURN_IF_ERROR(first);
    return kExitSucceeded;
  }

 private:
  std::vector<std::string> jobs_;
  bool keep_model_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDeleteCommand() { return std::make_unique<DeleteCommand>(); }

}  // namespace lockstep
