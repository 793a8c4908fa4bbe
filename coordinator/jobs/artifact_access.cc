#include "coordinator/jobs/artifact_access.h"

#include <filesystem>

namespace lockstep {

absl::Status CheckMayRead(const std::string& artifact_root, Store* store, const std::string& path,
                          const Scope& scope) {
  if (scope.only.empty() || path.empty()) return absl::OkStatus();
  std::error_code error;
  const std::filesystem::path root = std::filesystem::weakly_canonical(artifact_root, error);
  const std::filesystem::path real = std::filesystem::weakly_canonical(path, error);
  const std::filesystem::path inside = real.lexically_relative(root);
  if (!error && (inside.empty() || *inside.begin() == "..")) return absl::OkStatus();
  auto part = inside.begin();  // jobs/<id>/...
  if (!error && *part == "jobs" && ++part != inside.end()) {
    const auto job = store->GetJob(part->string());
    if (job.ok() && scope.Sees(job->job.namespace_())) return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat(path, " is nothing that the namespace ", scope.only, " has"));
}

}  // namespace lockstep
