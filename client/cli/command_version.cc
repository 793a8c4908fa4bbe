#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "common/base/version.h"

namespace lockstep {
namespace {

class VersionCommand : public Command {
 public:
  std::string name() const override { return "version"; }
  std::string summary() const override { return "Say which build this is"; }
  std::string examples() const override { return "lockstep version\nlockstep version -o json"; }

  absl::StatusOr<int> Run(Session* session) override {
    const std::string& format = session->options().format;
    session->out() << (format == "json"   ? absl::StrCat("{\"version\": \"", Version(), "\"}\n")
                       : format == "yaml" ? absl::StrCat("version: \"", Version(), "\"\n")
                                          : absl::StrCat("lockstep ", Version(), "\n"))
                   << std::flush;
    return kExitSucceeded;
  }
};

}  // namespace

std::unique_ptr<Command> MakeVersionCommand() { return std::make_unique<VersionCommand>(); }

}  // namespace lockstep
