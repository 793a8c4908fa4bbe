// Tells whoever started this process that it serves, and where: one line on an inherited descriptor.
#pragma once

#include <string>

#include "common/base/status.h"

namespace lockstep {

// Writes "grpc=HOST:PORT metrics=HOST:PORT http=HOST:PORT\n" to `fd` and closes it; an empty address stays
// empty. fd -1: does nothing. INVALID_ARGUMENT: `fd` cannot be written to.
absl::Status ReportReady(int fd, const std::string& grpc, const std::string& metrics,
                         const std::string& http);

}  // namespace lockstep
