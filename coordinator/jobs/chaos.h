// Faults on purpose. Only the control thread calls this.
#pragma once

#include <functional>

#include "coordinator/jobs/ledger.h"
#include "lockstep/v1/chaos.pb.h"

namespace lockstep {

// As InjectFault in chaos.proto; `done` once the order is on its way.
void InjectFault(Ledger* ledger, const v1::Fault& fault, const std::function<void(absl::Status)>& done);

}  // namespace lockstep
