// The folder that coordinator and workers share. Its id, in <root>/.lockstep-root, lets a worker prove that
// it sees the same storage.
#pragma once

#include <string>

#include "common/base/status.h"

namespace lockstep {

// Makes the folder and its id if they are missing; returns the id.
absl::StatusOr<std::string> PrepareArtifactRoot(const std::string& root);

// 32 random hex digits.
std::string RandomId();

}  // namespace lockstep
