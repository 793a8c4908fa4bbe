#pragma once

#include <memory>
#include <vector>

#include "client/cli/command.h"

namespace lockstep {

std::unique_ptr<Command> MakeRunCommand();
std::unique_ptr<Command> MakeSubmitCommand();
std::unique_ptr<Command> MakeJobsCommand();
std::unique_ptr<Command> MakeDescribeCommand();
std::unique_ptr<Command> MakeLogsCommand();
std::unique_ptr<Command> MakeWaitCommand();
std::unique_ptr<Command> MakeCancelCommand();
std::unique_ptr<Command> MakeDeleteCommand();
std::unique_ptr<Command> MakePauseCommand();
std::unique_ptr<Command> MakeScaleCommand();
std::unique_ptr<Command> MakeResumeCommand();
std::unique_ptr<Command> MakeWorkersCommand();
std::unique_ptr<Command> MakeCheckpointsCommand();
std::unique_ptr<Command> MakeCheckpointCommand();
std::unique_ptr<Command> MakeAuditCommand();
std::unique_ptr<Command> MakeCordonCommand();
std::unique_ptr<Command> MakeUncordonCommand();
std::unique_ptr<Command> MakeChaosCommand();
std::unique_ptr<Command> MakeDatasetsCommand();
std::unique_ptr<Command> MakeGenerateCommand();
std::unique_ptr<Command> MakeExportCommand();
std::unique_ptr<Command> MakeTokenizerCommand();
std::unique_ptr<Command> MakeModelsCommand();
std::unique_ptr<Command> MakeDownloadCommand();
std::unique_ptr<Command> MakePlotCommand();
std::unique_ptr<Command> MakeNamespaceCommand();
std::unique_ptr<Command> MakeTokenCommand();
std::unique_ptr<Command> MakeAuditlogCommand();
std::unique_ptr<Command> MakeCompletionCommand();
std::unique_ptr<Command> MakeVersionCommand();

// In the order of the help.
std::vector<std::unique_ptr<Command>> AllCommands();

}  // namespace lockstep
