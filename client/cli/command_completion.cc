#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"

namespace lockstep {
namespace {

class CompletionCommand : public Command {
 public:
  std::string name() const override { return "completion"; }
  std::string summary() const override { return "Print a completion script for a shell"; }
  std::string examples() const override {
    return "lockstep completion bash > ~/.local/share/bash-completion/completions/lockstep\n"
           "lockstep completion zsh > ~/.zfunc/_lockstep\n"
           "lockstep completion fish > ~/.config/fish/completions/lockstep.fish";
  }
  void Declare(Flags* flags) override {
    flags->PositionalChoice("SHELL", &shell_, {"bash", "zsh", "fish"}, "Which shell");
  }

  absl::StatusOr<int> Run(Session* session) override {
    session->out() << (shell_ == "bash"  ? BashCompletion(*session->tree)
                       : shell_ == "zsh" ? ZshCompletion(*session->tree)
                                         : FishCompletion(*session->tree))
                   << std::flush;
    return kExitSucceeded;
  }

 private:
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> MakeCompletionCommand() { return std::make_unique<CompletionCommand>(); }

}  // namespace lockstep
