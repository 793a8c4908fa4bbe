// Carries the scheduler's decisions out: the ledger's state in, generations out.
#pragma once

#include "coordinator/jobs/generations.h"
#include "coordinator/jobs/ledger.h"

namespace lockstep {

// Starts and grows what can be, and writes into each considered job's reason why it still waits.
void RunScheduling(Ledger* ledger, Generations* generations);

}  // namespace lockstep
