#include <filesystem>
#include <thread>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/cli/local_cluster.h"
#include "client/cli/run_plan.h"
#include "client/render/progress.h"
#include "client/render/views.h"
#include "common/spec/spec.h"

namespace lockstep {
namespace {

std::string Absolute(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).lexically_normal().string();
}

class RunCommand : public Command {
 public:
  std::string name() const override { return "run"; }
  std::string summary() const override {
    return "Run a job on this machine: starts coordinator and workers, trains, keeps the model, stops them";
  }
  std::string examples() const override {
    return "lockstep run examples/digits.yaml --workers 2\n"
           "lockstep run digits.yaml --output model --set train.epochs=5 --set model.mlp.hidden=[64]";
  }
  void Declare(Flags* flags) override {
    flags->Positional("SPEC", &spec_, "The job's spec, a YAML file");
    flags->Number(
        "--workers", &workers_, 1, 1024,
        "Worker processes, one device each (default: the spec's workers.max, at most one per processor)");
    flags->Number(
        "--threads", &threads_, 1, 1024,
        "Threads that each worker computes with (default: the processors divided by the workers); the "
        "model does not depend on it");
    flags->Text("--output", &output_, "Folder for the model (default: ./lockstep-out/NAME-ID)", "DIR");
    flags->Texts("--set", &sets_, "Override a field of the spec, as in train.epochs=5; again for more",
                 "FIELD=VALUE");
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(v1::JobSpec spec, ReadSpec(spec_, sets_));
    auto plan =
        PlanRun(std::move(spec), sets_, workers_, static_cast<int>(std::thread::hardware_concurrency()));
    if (!plan.ok()) return Annotate(plan.status(), spec_);
    RETURN_IF_ERROR(CheckOutput());
    ASSIGN_OR_RETURN(const std::string binaries,
                     FindBinaries(session->environment().variable("LOCKSTEP_BIN_DIR")));

    Cancellation stop;  // an interruption or the death of a child ends what this thread waits for
    const Cancellation::Hook interrupted(&session->interrupted(), [&stop] { stop.Cancel(); });
    LocalCluster::Options options;
    options.binaries = binaries;
    const std::string temporary = session->environment().variable("TMPDIR");
    options.temporary_folder = temporary.empty() ? "/tmp" : temporary;
    options.cancellation = &stop;
    options.on_death = [&stop] { stop.Cancel(); };
    auto cluster = LocalCluster::Start(options);
    if (absl::IsCancelled(cluster.status())) return kExitCancelled;
    RETURN_IF_ERROR(cluster.status());
    absl::StatusOr<int> code = Train(session, cluster->get(), *plan, &stop);
    // What a child's death leaves behind (broken calls, a job that cannot go on) is not the news.
    if (const absl::Status failure = (*cluster)->Failure(); !failure.ok() && !code.ok()) return failure;
    return code;
  }

 private:
  int Threads(int workers) const {
    if (threads_ > 0) return threads_;
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / workers);
  }
  absl::Status CheckOutput() const {
    if (output_.empty()) return absl::OkStatus();
    std::error_code error;
    std::filesystem::create_directories(output_, error);
    if (!error) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("--output ", output_, ": cannot be made: ", error.message()));
  }

  absl::StatusOr<int> Train(Session* session, LocalCluster* cluster, const RunPlan& plan,
                            Cancellation* stop) {
    RETURN_IF_ERROR(cluster->AddWorkers(plan.workers, Threads(plan.workers)));
    const auto client = session->MakeClient(cluster->address(), stop);
    // The workers start while the job is submitted.
    auto submitted = client->SubmitJob(plan.spec, NewRequestId());
    if (absl::IsCancelled(submitted.status()) && session->interrupted().cancelled()) return kExitCancelled;
    RETURN_IF_ERROR(submitted.status());
    auto job = FollowJob(session, client.get(), submitted->id());
    if (absl::IsCancelled(job.status()) && session->interrupted().cancelled()) {
      job = CancelPolitely(session, *cluster, submitted->id());
      if (absl::IsCancelled(job.status())) return kExitCancelled;  // impatient
    }
    RETURN_IF_ERROR(job.status());
    if (job->state() != v1::JOB_STATE_SUCCEEDED) {
      job->clear_model_path();
      session->Print(*job, ResultView(*job, session->out_style()));
      return ExitCodeOf(job->state());
    }
    const std::string folder =
        Absolute(output_.empty() ? absl::StrCat("lockstep-out/", job->name(), "-", job->id()) : output_);
    RETURN_IF_ERROR(client->DownloadModel(job->id(), folder).status());
    job->set_model_path(folder);  // the coordinator's own copy goes with the cluster
    session->Print(*job, absl::StrCat(ResultView(*job, session->out_style()), "  model  ", folder, "\n"));
    return kExitSucceeded;
  }

  absl::StatusOr<v1::Job> CancelPolitely(Session* session, const LocalCluster& cluster,
                                         const std::string& job) {
    session->err() << "cancelling; once more to stop at once" << std::endl;
    const auto client = session->MakeClient(cluster.address(), &session->terminated());
    const auto cancelled = client->CancelJob(job);
    // FAILED_PRECONDITION: it has ended in the meantime, which following tells.
    if (!cancelled.ok() && !absl::IsFailedPrecondition(cancelled.status())) return cancelled.status();
    return FollowJob(session, client.get(), job);
  }

  std::string spec_, output_;
  std::vector<std::string> sets_;
  int workers_ = 0;
  int threads_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeRunCommand() { return std::make_unique<RunCommand>(); }

}  // namespace lockstep
