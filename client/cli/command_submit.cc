#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/render/progress.h"
#include "client/render/views.h"
#include "common/spec/spec.h"

namespace lockstep {
namespace {

class SubmitCommand : public Command {
 public:
  std::string name() const override { return "submit"; }
  std::string summary() const override { return "Queue a job; prints its id once it is safe on disk"; }
  std::string examples() const override {
    return "lockstep submit digits.yaml\n"
           "lockstep submit digits.yaml --follow --set train.epochs=5 --set workers.max=4\n"
           "lockstep submit digits.yaml --set from.job=digits --set from.best=true";
  }
  void Declare(Flags* flags) override {
    flags->Positional("SPEC", &spec_, "The job's spec, a YAML file");
    flags->Texts("--set", &sets_, "Override a field of the spec, as in train.epochs=5; again for more",
                 "FIELD=VALUE");
    flags->Switch("-f,--follow", &follow_, "Stay until the job ends; the exit code says how");
    flags->Text("--request-id", &request_id_,
                "Submitting again with the same id returns the first job (default: random)", "ID");
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::JobSpec spec, ReadSpec(spec_, sets_));
    v1::JobSpec complete = spec;
    RETURN_IF_ERROR(Annotate(CompleteSpec(&complete), spec_));
    ASSIGN_OR_RETURN(const v1::Job job,
                     session->client().SubmitJob(spec, request_id_.empty() ? NewRequestId() : request_id_));
    if (!follow_) {
      if (session->wants_table()) {
        session->err() << "submitted " << Printable(job.name()) << ", " << StateText(job.state())
                       << "; `lockstep wait " << job.id() << "` waits for its end" << std::endl;
      }
      session->Print(job, job.id() + "\n");
      return kExitSucceeded;
    }
    const auto end = FollowJob(session, &session->client(), job.id());
    if (absl::IsCancelled(end.status())) {
      session->err() << "stopped following; the job goes on: `lockstep wait " << job.id()
                     << "`, `lockstep cancel " << job.id() << "`" << std::endl;
      return kExitNotFinished;
    }
    RETURN_IF_ERROR(end.status());
    session->Print(*end, ResultView(*end, session->out_style()));
    return ExitCodeOf(end->state());
  }

 private:
  std::string spec_, request_id_;
  std::vector<std::string> sets_;
  bool follow_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeSubmitCommand() { return std::make_unique<SubmitCommand>(); }

}  // namespace lockstep
