// A caller that is bound to a namespace may name files by path, as any submitter, but none of what other
// namespaces' jobs left under the artifact root. Reads the file system.
#pragma once

#include <string>

#include "common/base/status.h"
#include "coordinator/namespaces/scope.h"
#include "coordinator/store/store.h"

namespace lockstep {

// NOT_FOUND: the path leads into the artifact root, and not to a job that `scope` sees.
absl::Status CheckMayRead(const std::string& artifact_root, Store* store, const std::string& path,
                          const Scope& scope);

}  // namespace lockstep
