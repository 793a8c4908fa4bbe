// How the end of a trainer is told to people.
#pragma once

#include <string>
#include <vector>

#include "coordinator/jobs/records.h"

namespace lockstep {

// "trainer of rank 1 on worker w2 was killed by signal 9 (SIGKILL): last log lines: ..."
std::string EndText(const std::string& worker, int rank, const v1::AssignmentStatus& status);

// "rank 1 on worker w2 made no step" for the members that do not run.
std::string MissingText(const std::vector<Member>& members);

}  // namespace lockstep
