// From a status to what people read and the exit code. Pure functions.
#pragma once

#include <string>

#include "client/cli/session.h"
#include "common/base/status.h"

namespace lockstep {

// "error: ..." and, where something can be done about it, "hint: ...". Never a code's name.
std::string ErrorText(const absl::Status& status, const GlobalOptions& options, const Style& style);

int ExitCodeFor(const absl::Status& status);

}  // namespace lockstep
