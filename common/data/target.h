// What is to be learnt: the label column as class indices or as numbers, and which of the two.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/data/table.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

struct Target {
  v1::Task task = v1::TASK_UNSPECIFIED;
  std::vector<std::string> classes;  // classification: in class-index order
  std::vector<int32_t> class_of;     // classification: (records)
  std::vector<double> values;        // regression: (records)
};

// Labels that are categories, or integers with at most 50 distinct values, are classes; other numbers are a
// regression target; `declared` overrides this. INVALID_ARGUMENT: classification of fractional numbers, of
// more than 1000 classes or of one; regression of categories. Reconstruction has no label and no target of
// its own. REQUIRES: no label is missing.
absl::StatusOr<Target> ResolveTarget(const Table& table, v1::Task declared);

}  // namespace lockstep
