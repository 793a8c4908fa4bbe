#include "client/cli/commands.h"

namespace lockstep {

std::vector<std::unique_ptr<Command>> AllCommands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(MakeRunCommand());
  commands.push_back(MakeSubmitCommand());
  commands.push_back(MakeJobsCommand());
  commands.push_back(MakeDescribeCommand());
  commands.push_back(MakeLogsCommand());
  commands.push_back(MakePlotCommand());
  commands.push_back(MakeWaitCommand());
  commands.push_back(MakeCancelCommand());
  commands.push_back(MakePauseCommand());
  commands.push_back(MakeScaleCommand());
  commands.push_back(MakeResumeCommand());
  commands.push_back(MakeDeleteCommand());
  commands.push_back(MakeCheckpointsCommand());
  commands.push_back(MakeCheckpointCommand());
  commands.push_back(MakeAuditCommand());
  commands.push_back(MakeDownloadCommand());
  commands.push_back(MakeModelsCommand());
  commands.push_back(MakeDatasetsCommand());
  commands.push_back(MakeGenerateCommand());
  commands.push_back(MakeExportCommand());
  commands.push_back(MakeTokenizerCommand());
  commands.push_back(MakeWorkersCommand());
  commands.push_back(MakeCordonCommand());
  commands.push_back(MakeUncordonCommand());
  commands.push_back(MakeChaosCommand());
  commands.push_back(MakeNamespaceCommand());
  commands.push_back(MakeTokenCommand());
  commands.push_back(MakeAuditlogCommand());
  commands.push_back(MakeCompletionCommand());
  commands.push_back(MakeVersionCommand());
  return commands;
}

}  // namespace lockstep
