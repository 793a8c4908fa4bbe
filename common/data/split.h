// Which record belongs to which part: a pure function of (classes, fractions, seed). The parts are disjoint
// and cover all records exactly. The sizes are the fractions of the whole by largest remainder; within each
// class they are within one record of the class's own fractions (a class too small for that goes to training
// first). Within a class the records are ordered by Philox(seed, kSplit, record) and dealt out in that order.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

enum class Part { kTrain = 0, kValidation = 1, kTest = 2 };
inline constexpr int kParts = 3;
const char* PartName(Part part);

struct Split {
  std::array<std::vector<int64_t>, kParts> records;  // ascending
};

// How many records each part gets. REQUIRES: CheckSplit(records, spec).ok().
std::array<int64_t, kParts> PartSizes(int64_t records, const v1::SplitSpec& spec);

// Whether `records` records can be split so, without reading them: the errors of SplitRecords.
absl::Status CheckSplit(int64_t records, const v1::SplitSpec& spec);

// `class_of` is empty for regression, else one class index in [0, classes) for each record. A fraction of
// exactly 0 for validation or test leaves that part out on purpose. INVALID_ARGUMENT: fractions out of range
// or not summing to 1; a part with a fraction stays empty (the message has the sizes).
absl::StatusOr<Split> SplitRecords(int64_t records, const std::vector<int32_t>& class_of, int classes,
                                   const v1::SplitSpec& spec, uint64_t seed);

}  // namespace lockstep
