// Files of jobs under the artifact root: whose a path is, and how all of a job's go. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/status.h"

namespace lockstep {

// "b" for <artifact_root>/jobs/b/..., empty for everything else. By the text alone.
std::string JobOfPath(const std::string& artifact_root, const std::string& path);
// Whether the path is the job's model, or in it. By the text alone.
bool IsInModel(const std::string& artifact_root, const std::string& path);

// Removes <artifact_root>/jobs/<id>, or all of it but its model; what is gone already is as good. Returns the
// bytes of the files that are gone. Blocks. PERMISSION_DENIED, INTERNAL: something could not be removed.
absl::StatusOr<int64_t> RemoveJobFiles(const std::string& artifact_root, const std::string& id,
                                       bool keep_model);

}  // namespace lockstep
