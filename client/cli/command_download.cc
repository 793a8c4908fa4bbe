#include <filesystem>

#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"

namespace lockstep {
namespace {

class DownloadCommand : public JobCommand {
 public:
  std::string name() const override { return "download"; }
  std::string summary() const override { return "Fetch the model that a job has left"; }
  std::string examples() const override {
    return "lockstep download digits\nlockstep download digits --output models/digits";
  }
  void Declare(Flags* flags) override {
    JobCommand::Declare(flags);
    flags->Text("--output", &output_, "Folder for its files (default: ./lockstep-out/NAME-ID)", "DIR");
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(v1::Job job, session->client().GetJob(job_));
    std::string folder = output_;
    if (folder.empty()) folder = absl::StrCat("lockstep-out/", job.name(), "-", job.id());
    ASSIGN_OR_RETURN(const auto files, session->client().DownloadModel(job.id(), folder));
    std::error_code ignored;
    folder = std::filesystem::absolute(folder, ignored).lexically_normal().string();
    if (session->wants_table()) session->err() << "downloaded " << files.size() << " files" << std::endl;
    job.set_model_path(folder);
    session->Print(job, folder + "\n");
    return kExitSucceeded;
  }

 private:
  std::string output_;
};

}  // namespace

std::unique_ptr<Command> MakeDownloadCommand() { return std::make_unique<DownloadCommand>(); }

}  // namespace lockstep
