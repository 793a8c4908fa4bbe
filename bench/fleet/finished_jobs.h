// Puts jobs that have succeeded into a store that no coordinator has open: what years of use leave behind.
#pragma once

#include <string>

#include "common/base/status.h"

namespace lockstep {

absl::Status WriteFinishedJobs(const std::string& path, int count);

}  // namespace lockstep
