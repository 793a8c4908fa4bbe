// A plan of faults for `lockstep chaos`: YAML in, a checked ChaosPlan out. Errors name file, line and field,
// as those of a job's spec do.
//
//   faults:
//     - {at: 2s, fault: kill}
//     - {at: 5s, fault: cut, worker: node-1, duration: 5s}
#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "lockstep/v1/chaos.pb.h"

namespace lockstep {

// The faults in the order of their times; those that last have a duration. INVALID_ARGUMENT: unknown fields
// or kinds, no fault at all, a negative time, a worker where none is meant, a duration where none is or that
// is not in (0, 10m].
absl::StatusOr<v1::ChaosPlan> ParseChaosPlan(std::string_view yaml, std::string_view file);

// Kills of one trainer each, with exponentially distributed pauses of `mean` between them, until `length` is
// over. The same for the same seed.
v1::ChaosPlan RandomKills(absl::Duration mean, absl::Duration length, uint64_t seed);

}  // namespace lockstep
