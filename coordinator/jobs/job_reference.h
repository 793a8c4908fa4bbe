// Which job a text means: an id, a name (the newest job of that name), or one of both after "NAMESPACE/".
#pragma once

#include <string>

#include "coordinator/namespaces/scope.h"
#include "coordinator/store/store.h"

namespace lockstep {

// `meant`: the namespace of a name that says none. NOT_FOUND, in the same words whether there is no such job
// or one that `scope` does not see.
absl::StatusOr<StoredJob> FindStoredJob(Store* store, const std::string& reference, const Scope& scope,
                                        const std::string& meant);

inline absl::StatusOr<StoredJob> FindStoredJob(Store* store, const std::string& reference,
                                               const Scope& scope = {}) {
  return FindStoredJob(store, reference, scope, scope.Meant());
}

}  // namespace lockstep
