// scale: a job on another number of workers, while it runs.
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/render/progress.h"

namespace lockstep {
namespace {

class ScaleCommand : public JobCommand {
 public:
  std::string name() const override { return "scale"; }
  std::string summary() const override {
    return "Let a job run on another number of workers; the bits do not change";
  }
  std::string examples() const override {
    return "lockstep scale digits --workers 4           grows as devices are free, and stays below that\n"
           "lockstep scale digits --workers 1           gives the others back at its next step";
  }
  void Declare(Flags* flags) override {
    JobCommand::Declare(flags);
    flags->Number("--workers", &workers_, 1, 1024,
                  "Devices that it is to run on, instead of the spec's workers.max");
  }

  absl::StatusOr<int> Run(Session* session) override {
    if (workers_ == 0)
      return absl::InvalidArgumentError("--workers is missing: say how many, as in --workers 2");
    ASSIGN_OR_RETURN(const v1::Job job, session->client().ScaleJob(job_, workers_));
    session->err() << StateLine(job, session->err_style()) << "; it is to run on " << job.workers_wanted()
                   << (job.workers_wanted() == 1 ? " worker" : " workers") << std::endl;
    session->Print(job, StateText(job.state()) + "\n");
    return kExitSucceeded;
  }

 private:
  int workers_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeScaleCommand() { return std::make_unique<ScaleCommand>(); }

}  // namespace lockstep
