// Whether two descriptions of a dataset agree.
#pragma once

#include "common/base/status.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// The same content, read in the same way (format, label, column names and types, task, classes).
bool SameVersion(const v1::Dataset& a, const v1::Dataset& b);

// What a spec says besides the registered name must be what was registered. INVALID_ARGUMENT names the field.
absl::Status CheckCompatible(const v1::DatasetSpec& spec, const v1::Dataset& dataset);

}  // namespace lockstep
