// The audit log's byte format: one JSON object a line, each with its number `n` (from 1) and, as `previous`,
// the SHA-256 of the line before (without its newline; 64 zeros for the first). A line that is changed or
// taken out breaks the chain at that place. One who may write the file could compute the rest of the chain
// anew, or cut its end: what shows that is a hash noted elsewhere, earlier.
//
// A log that became too long goes on in another file: `audit.log.1` is the oldest, then `audit.log.2` and so
// on, and `audit.log` the one that is written. Numbers and hashes go on from file to file. Plain functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace lockstep {

inline const std::string kAuditStart(64, '0');

struct AuditSummary {
  int64_t lines = 0;
  int files = 0;
  std::string head = kAuditStart;  // SHA-256 of the last line
};

// The numbers N of the files `path`.N, ascending. UNAVAILABLE: the folder cannot be read.
absl::StatusOr<std::vector<int64_t>> OlderAuditFiles(const std::string& path);

// All files of the log that is written at `path`. DATA_LOSS names the first line that is broken, its file,
// and how, or the file that is missing. `noted`: a hash that some line must have; empty: none. NOT_FOUND:
// there is no such log.
absl::StatusOr<AuditSummary> VerifyAuditLog(const std::string& path, const std::string& noted);

}  // namespace lockstep
