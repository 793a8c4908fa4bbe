// Checkpoints as the API shows them, each verified: reads every byte, so it blocks. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

// One folder, a checkpoint's or a model's. What is wrong with it is in `problem`; there is no error.
v1::Checkpoint DescribeCheckpoint(const std::string& path);

// The folders step-* of `directory`, newest first; none where there is no such directory.
absl::StatusOr<std::vector<v1::Checkpoint>> DescribeCheckpoints(const std::string& directory);

}  // namespace lockstep
