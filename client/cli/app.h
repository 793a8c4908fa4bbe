// The program: parses the command line, runs the command, prints its error.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/cli/session.h"

namespace lockstep {

// `on_session`, if set, gets the session before the command runs and null after it, to route signals.
int RunApp(const std::vector<std::string>& arguments, const Environment& environment,
           const std::function<void(Session*)>& on_session = nullptr);

}  // namespace lockstep
