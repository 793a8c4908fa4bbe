// The store in one SQLite file: WAL, synchronous=FULL, so that a commit is on disk when it returns. Two
// connections: one writes (one transaction per batch), one reads beside it. A lock file keeps a second
// coordinator out.
//
// Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "coordinator/store/store.h"

namespace lockstep {

struct SqliteStoreOptions {
  int64_t max_log_lines_per_job = 100'000;  // the oldest beyond it are deleted
};

// Opens or creates the store in the file `path`; its folder must exist. FAILED_PRECONDITION: written by a
// newer program, or in use by another coordinator. DATA_LOSS: damaged or not a store. NOT_FOUND /
// PERMISSION_DENIED: the folder or file.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path,
                                                       const SqliteStoreOptions& options = {});

}  // namespace lockstep
