// The names of datasets and how a version is written: "digits" (its newest version) or "digits@3".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

struct DatasetReference {
  std::string space;    // its namespace
  std::string name;     // "digits" of the default namespace, "team-a/digits" of another one
  int32_t version = 0;  // 0: the newest
};

// INVALID_ARGUMENT: not of the form name or name@number, after "NAMESPACE/" or, without it, in the namespace
// `meant`.
absl::StatusOr<DatasetReference> ParseReference(std::string_view text, const std::string& meant);

// 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit.
absl::Status CheckDatasetName(std::string_view name);

// A valid name from a file's path: its stem without .gz, other characters replaced by '-'.
std::string NameFromPath(std::string_view path);

}  // namespace lockstep
