// Workers that fail again and again: after so many failures within an hour one gets no more work until
// somebody has looked at it (`lockstep uncordon`). What still runs there goes on. The count is of this
// coordinator's life.
#pragma once

#include <string>

#include "coordinator/jobs/ledger.h"

namespace lockstep {

// `reason`: of this failure, for people.
void CountNodeFailure(Ledger* ledger, const std::string& worker, const std::string& reason);

}  // namespace lockstep
