// The report of `lockstep chaos`: totals over its faults, and how people read it. Pure functions.
#pragma once

#include <string>

#include "lockstep/v1/chaos.pb.h"

namespace lockstep {

// Sets `totals` from `faults`.
void AddTotals(v1::ChaosReport* report);

// A row for each fault, then the totals; "-": not known.
std::string ChaosTable(const v1::ChaosReport& report);

}  // namespace lockstep
