// What MLflow answers, read without trust: whatever the bytes are, the result is a value or an error.
// UNAVAILABLE: this is no answer of MLflow's.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace lockstep {

// The text at the end of a path of member names.
absl::StatusOr<std::string> MlflowText(const std::string& body, const std::vector<const char*>& path);
// The first run of a search.
absl::StatusOr<std::optional<std::string>> MlflowFirstRun(const std::string& body);

struct MlflowPage {
  std::set<std::pair<int64_t, int64_t>> points;  // (step, timestamp)
  std::string next;                              // token; empty: the last page
};
absl::StatusOr<MlflowPage> MlflowHistoryPage(const std::string& body);

// The error that an answer other than 200 stands for. `path` is what was called.
absl::Status MlflowError(const std::string& path, int status, const std::string& body);

}  // namespace lockstep
