// The store's tables, and how a store of an older version becomes one of this version.
#pragma once

#include <string>

#include "common/base/status.h"
#include "coordinator/store/sqlite_database.h"

namespace lockstep {

// PRAGMA user_version of a store that this program writes. Every change of a table adds a migration.
int StoreVersion();

// Creates or migrates the tables, in one transaction. FAILED_PRECONDITION: the store was written by a newer
// program. DATA_LOSS: it is a database of something else, or damaged.
absl::Status MigrateStore(SqliteDatabase& database, const std::string& path);

}  // namespace lockstep
