// CSV text into typed columns. The first record is the header.
#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/data/table.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// Fills columns, label, records and index of `table` from `text`. INVALID_ARGUMENT names row (1 = the first
// after the header), line and column; messages begin without the file's name.
absl::Status ParseCsv(std::string_view text, const v1::DatasetSpec& spec, Table* table);

}  // namespace lockstep
