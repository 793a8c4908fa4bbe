// Where a job's weights come from. These read and verify checkpoint folders, so they block: never on the
// control thread. Thread-safe.
#pragma once

#include <string>

#include "common/base/status.h"
#include "coordinator/namespaces/scope.h"
#include "coordinator/store/store.h"

namespace lockstep {

struct Restore {
  std::string path;  // empty: fresh weights
  bool weights_only = false;
  std::string note;  // for the job's reason: "from step 120; step 160 was refused: ..."
};

// <artifact_root>/jobs/<id>/checkpoints
std::string CheckpointDirectory(const std::string& artifact_root, const std::string& job_id);

// The newest whole checkpoint of `job`; if it has none, what it started from. DATA_LOSS: it has some, but
// none is whole.
absl::StatusOr<Restore> NewestRestore(const std::string& artifact_root, const StoredJob& job);

// The folder that a spec's `from` means, verified; "" without a `from`. `space`: the new job's namespace,
// which the name of a job is looked for in. INVALID_ARGUMENT, NOT_FOUND, DATA_LOSS.
absl::StatusOr<std::string> ResolveSource(const std::string& artifact_root, Store* store,
                                          const v1::JobSpec& spec, const std::string& space,
                                          const Scope& scope);

}  // namespace lockstep
