#include "coordinator/namespaces/quota.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

absl::Status NotNegative(bool is_set, int64_t limit, const char* field) {
  if (!is_set || limit >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("quota.", field, ": expected 0 or more, got ", limit));
}

absl::Status Exceeded(const v1::Namespace& space, const std::string& what, const std::string& advice,
                      const char* flag) {
  return absl::ResourceExhaustedError(absl::StrCat("namespace ", space.name(), ": ", what, "; ", advice,
                                                   ", or ask an admin for more (`lockstep namespace set ",
                                                   space.name(), " ", flag, "`)"));
}

}  // namespace

absl::Status CheckQuota(const v1::Quota& quota) {
  RETURN_IF_ERROR(NotNegative(quota.has_devices(), quota.devices(), "devices"));
  RETURN_IF_ERROR(NotNegative(quota.has_jobs(), quota.jobs(), "jobs"));
  return NotNegative(quota.has_storage_bytes(), quota.storage_bytes(), "storage_bytes");
}

absl::Status AdmitJob(const v1::Namespace& space, const v1::NamespaceUse& use, int devices) {
  const v1::Quota& quota = space.quota();
  if (quota.has_jobs() && use.jobs() + 1 > quota.jobs()) {
    return Exceeded(space,
                    absl::StrCat("its quota of unfinished jobs is ", quota.jobs(), ", ", use.jobs(),
                                 " are there, so this one is ", use.jobs() + 1 - quota.jobs(), " too many"),
                    absl::StrCat("wait for one to end or cancel one (`lockstep jobs -n ", space.name(), "`)"),
                    "--jobs N");
  }
  if (quota.has_devices() && devices > quota.devices()) {
    return Exceeded(space,
                    absl::StrCat("its quota of devices in use at once is ", quota.devices(),
                                 ", and the job needs at least ", devices, " (workers.min), ",
                                 devices - quota.devices(), " too many"),
                    "lower workers.min", "--devices N");
  }
  if (quota.has_storage_bytes() && use.storage_bytes() >= quota.storage_bytes()) {
    return Exceeded(
        space,
        absl::StrCat("its quota of storage is ", quota.storage_bytes(), " bytes, and checkpoints and ",
                     "models take ", use.storage_bytes(), ", ", use.storage_bytes() - quota.storage_bytes(),
                     " bytes beyond it"),
        "what runs goes on, but nothing new begins; keep fewer checkpoints (checkpoint.keep_last)",
        "--storage BYTES");
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Quota> ChangeQuota(v1::Quota quota, const v1::SetNamespaceRequest& request) {
  quota.MergeFrom(request.quota());
  for (const int kind : request.unlimited()) {
    switch (kind) {
      case v1::QUOTA_KIND_DEVICES:
        quota.clear_devices();
        break;
      case v1::QUOTA_KIND_JOBS:
        quota.clear_jobs();
        break;
      case v1::QUOTA_KIND_STORAGE:
        quota.clear_storage_bytes();
        break;
      default:
        return absl::InvalidArgumentError(absl::StrCat("unlimited: there is no quota of the kind ", kind));
    }
  }
  RETURN_IF_ERROR(CheckQuota(quota));
  return quota;
}

}  // namespace lockstep
