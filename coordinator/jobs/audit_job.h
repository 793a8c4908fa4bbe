// A job's audit, from what it left on disk: see AuditJob in jobs.proto. Blocks. Thread-safe.
#pragma once

#include <string>

#include "common/base/status.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

absl::StatusOr<v1::AuditJobResponse> AuditJob(const std::string& artifact_root, const v1::Job& job);

}  // namespace lockstep
