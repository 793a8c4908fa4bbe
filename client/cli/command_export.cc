#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "common/pretrained/export.h"

namespace lockstep {
namespace {

class ExportCommand : public Command {
 public:
  std::string name() const override { return "export"; }
  std::string summary() const override {
    return "Write a gpt or llama model as a Hugging Face folder, for transformers' from_pretrained";
  }
  std::string examples() const override {
    return "lockstep export lockstep-out/char-gpt --output char-gpt-hf";
  }
  void Declare(Flags* flags) override {
    flags->Positional("MODEL", &folder_,
                      "A model's folder, as `lockstep run` or `lockstep download` leaves it");
    flags->Text("--output", &output_, "Folder to make (default: MODEL-hf)", "DIR");
  }

  absl::StatusOr<int> Run(Session* session) override {
    std::string output = output_;
    if (output.empty()) {
      output = folder_;
      while (output.size() > 1 && output.back() == '/') output.pop_back();
      output += "-hf";
    }
    RETURN_IF_ERROR(ExportHuggingFace(folder_, output));
    session->out() << output << "\n" << std::flush;
    return kExitSucceeded;
  }

 private:
  std::string folder_, output_;
};

}  // namespace

std::unique_ptr<Command> MakeExportCommand() { return std::make_unique<ExportCommand>(); }

}  // namespace lockstep
