// What every request is checked for before anything is done with it: bounded sizes, so that neither a log
// line nor an error message carries megabytes of somebody's mistake. Plain functions.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "common/base/status.h"

namespace lockstep {

// Clients' requests; the transport's own limit (common/net/limits.h) is higher, for the agents' sake.
inline constexpr size_t kMaxRequestBytes = 4 << 20;

// RESOURCE_EXHAUSTED names the message, its size, the limit and what to do.
absl::Status CheckRequestSize(const google::protobuf::Message& request);

// A job's, dataset's or model's id or name. INVALID_ARGUMENT: empty or too long.
absl::Status CheckReference(const std::string& field, const std::string& value);

}  // namespace lockstep
