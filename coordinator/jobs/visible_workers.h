// The workers as a caller may see them: shared by all namespaces, but not what other namespaces run there.
#pragma once

#include <string>
#include <vector>

#include "coordinator/jobs/controller.h"

namespace lockstep {

// A device that a job of another namespace holds is `taken`, and does not say by which.
std::vector<v1::Worker> WorkersFor(Controller* controller, const Scope& scope);

// Those that are about workers alone, or about a job that `scope` sees.
std::vector<FleetEvent> FleetEventsFor(Controller* controller, const Scope& scope);

}  // namespace lockstep
