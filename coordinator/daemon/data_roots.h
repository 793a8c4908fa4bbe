// Which files clients may have the coordinator read.
#pragma once

#include "common/base/status.h"
#include "coordinator/daemon/flags.h"

namespace lockstep {

// Sets the process's fence (common/paths/path_fence.h) to --data-root and --artifact-root. Without
// --data-root: none where this machine alone reaches the API and nobody is asked for a token, for its users
// may read these files anyway; else DATA-DIR/datasets, which is made. FAILED_PRECONDITION: a folder cannot be
// opened, or tokens are asked for and it holds the data folder, where they are kept.
absl::Status FenceReads(const CoordinatorFlags& flags);

}  // namespace lockstep
