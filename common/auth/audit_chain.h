// The audit log's byte format: one JSON object a line, each with its number `n` (from 1) and, as `previous`,
// the SHA-256 of the line before (without its newline; 64 zeros for the first). A line that is changed or
// taken out breaks the chain at that place. One who may write the file could compute the rest of the chain
// anew, or cut its end: what shows that is a hash noted elsewhere, earlier. Plain functions.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/status.h"

namespace lockstep {

inline const std::string kAuditStart(64, '0');

struct AuditSummary {
  int64_t lines = 0;
  std::string head = kAuditStart;  // SHA-256 of the last line
};

// DATA_LOSS names the first line that is broken, and how. `noted`: a hash that some line must have; empty:
// none.
absl::StatusOr<AuditSummary> VerifyAuditLog(const std::string& path, const std::string& noted);

}  // namespace lockstep
