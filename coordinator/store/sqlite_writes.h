// The writing half of the SQLite store: statements inside the caller's transaction.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/base/status.h"
#include "coordinator/store/sqlite_database.h"
#include "coordinator/store/store.h"

namespace lockstep {

// See Store::RemoveSome.
absl::StatusOr<bool> RemoveSomeRows(SqliteDatabase& database, const std::string& job_id, int limit);

absl::Status WriteBatch(SqliteDatabase& database, const Batch& batch);

// Keeps each job's newest lines only. Deletes in portions of a tenth of the cap, so that a long log does not
// pay for a deletion with every line.
class LogCap {
 public:
  explicit LogCap(int64_t max_lines) : max_lines_(max_lines) {}
  // REQUIRES: `batch` was just written in the same transaction.
  absl::Status Apply(SqliteDatabase& database, const Batch& batch);
  // The transaction was rolled back: count afresh.
  void Reset() { counts_.clear(); }

 private:
  int64_t max_lines_;
  std::map<std::string, int64_t> counts_;  // upper bounds on the lines of jobs that write now
};

}  // namespace lockstep
