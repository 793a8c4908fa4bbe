#include "coordinator/jobs/job_reference.h"

#include "absl/strings/match.h"

namespace lockstep {

absl::StatusOr<StoredJob> FindStoredJob(Store* store, const std::string& reference, const Scope& scope,
                                        const std::string& meant) {
  const QualifiedName wanted = SplitName(reference, meant);
  const bool qualified = absl::StrContains(reference, "/");
  auto job = store->GetJob(wanted.name);
  if (job.ok() && scope.Sees(job->job.namespace_()) &&
      (!qualified || job->job.namespace_() == wanted.space)) {
    return job;
  }
  if (job.ok() || absl::IsNotFound(job.status())) {
    job = absl::NotFoundError(
        absl::StrCat("no job has the id or name '", reference, "'; `lockstep jobs` lists them"));
    if (!scope.Sees(wanted.space)) return job;
    auto named = store->FindJobByName(wanted.space, wanted.name);
    if (named.ok() || !absl::IsNotFound(named.status())) return named;
  }
  return job;
}

}  // namespace lockstep
