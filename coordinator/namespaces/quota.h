// Whether a namespace's quota lets a job in: pure functions of the quota and of what is in use. A refusal
// says which quota of which namespace, its limit, what is in use, by how much that is too much, and what to
// do.
#pragma once

#include "common/base/status.h"
#include "lockstep/v1/namespaces.pb.h"

namespace lockstep {

// INVALID_ARGUMENT: a limit below 0.
absl::Status CheckQuota(const v1::Quota& quota);

// One more job, which runs on at least `devices`. RESOURCE_EXHAUSTED.
absl::Status AdmitJob(const v1::Namespace& space, const v1::NamespaceUse& use, int devices);

// `quota` with what the request sets and lifts. INVALID_ARGUMENT.
absl::StatusOr<v1::Quota> ChangeQuota(v1::Quota quota, const v1::SetNamespaceRequest& request);

}  // namespace lockstep
