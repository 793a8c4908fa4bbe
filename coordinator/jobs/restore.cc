#include "coordinator/jobs/restore.h"

#include <filesystem>

#include "absl/strings/str_join.h"
#include "common/checkpoint/checkpoint.h"
#include "common/paths/path_fence.h"
#include "common/pretrained/import.h"
#include "coordinator/jobs/artifact_access.h"
#include "coordinator/jobs/job_reference.h"

namespace lockstep {
namespace {

bool IsDirectory(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

// A checkpoint that was asked for by name and is refused: the next best one beside it is offered, not taken.
absl::Status RefusedWithOffer(const std::string& path, const absl::Status& problem) {
  const std::filesystem::path folder = std::filesystem::path(path).lexically_normal();
  std::error_code error;
  std::string text = absl::StrCat("from: ", problem.message());
  if (!std::filesystem::exists(folder / "manifest.json", error)) {
    text = absl::StrCat("from: ", path, " is no whole checkpoint or model: it has no manifest.json");
  }
  const auto newest = NewestWhole(folder.parent_path().string(), nullptr);
  if (newest.ok()) absl::StrAppend(&text, "; the newest whole checkpoint beside it is ", newest->path);
  return absl::DataLossError(text);
}

absl::StatusOr<CheckpointInfo> OfStep(const std::string& directory, const v1::CheckpointSource& from) {
  std::vector<CheckpointInfo> all;
  if (IsDirectory(directory)) {
    ASSIGN_OR_RETURN(all, ListCheckpoints(directory, nullptr));
  }
  std::vector<std::string> steps;
  for (const CheckpointInfo& info : all) {
    const bool wanted = from.has_step() ? info.manifest.step == from.step() : info.manifest.best;
    if (wanted) {
      if (const absl::Status whole = VerifyCheckpoint(info.path); !whole.ok()) {
        return RefusedWithOffer(info.path, whole);
      }
      return info;
    }
    steps.push_back(absl::StrCat(info.manifest.step));
  }
  return absl::NotFoundError(absl::StrCat(
      "from: job '", from.job(), "' has no ",
      from.has_step() ? absl::StrCat("checkpoint at step ", from.step()) : std::string("best checkpoint"),
      steps.empty() ? std::string("; it has none at all")
                    : absl::StrCat("; it has steps ", absl::StrJoin(steps, ", "))));
}

}  // namespace

std::string CheckpointDirectory(const std::string& artifact_root, const std::string& job_id) {
  return absl::StrCat(artifact_root, "/jobs/", job_id, "/checkpoints");
}

absl::StatusOr<Restore> NewestRestore(const std::string& artifact_root, const StoredJob& job) {
  const Restore none{job.from_path, !job.from_path.empty(),
                     job.from_path.empty() ? "from the start: it has no checkpoint yet"
                                           : absl::StrCat("from ", job.from_path)};
  const std::string directory = CheckpointDirectory(artifact_root, job.job.id());
  if (!IsDirectory(directory)) return none;
  std::vector<std::string> skipped;
  auto newest = NewestWhole(directory, &skipped);
  if (absl::IsNotFound(newest.status())) return none;
  if (!newest.ok()) return newest.status();
  std::string note = absl::StrCat("from the checkpoint at step ", newest->manifest.step);
  if (!skipped.empty()) absl::StrAppend(&note, " (refused: ", absl::StrJoin(skipped, "; "), ")");
  return Restore{newest->path, false, note};
}

absl::StatusOr<std::string> ResolveSource(const std::string& artifact_root, Store* store,
                                          const v1::JobSpec& spec, const std::string& space,
                                          const Scope& scope) {
  if (!spec.has_from()) return "";
  const v1::CheckpointSource& from = spec.from();
  for (const std::string& path : {from.path(), from.safetensors()}) {
    RETURN_IF_ERROR(Annotate(CheckMayRead(artifact_root, store, path, scope), "from"));
  }
  if (!from.safetensors().empty()) {  // the trainers read it; what can be told now need not wait for them
    RETURN_IF_ERROR(ReadFence().Check("from.safetensors", from.safetensors()));
    RETURN_IF_ERROR(CheckPretrained(from, spec.model()));
    return "";
  }
  if (from.path().empty() == from.job().empty()) {
    return absl::InvalidArgumentError("from: expected one of job, path and safetensors");
  }
  if (!from.path().empty()) {
    RETURN_IF_ERROR(ReadFence().Check("from.path", from.path()));
    if (!IsDirectory(from.path())) {
      return absl::NotFoundError(absl::StrCat("from.path: ", from.path(), " is not a folder on the ",
                                              "coordinator's host; expected a checkpoint or model folder"));
    }
    if (const absl::Status whole = VerifyCheckpoint(from.path()); !whole.ok()) {
      return RefusedWithOffer(from.path(), whole);
    }
    return from.path();
  }
  auto job = FindStoredJob(store, from.job(), scope, space);
  if (!job.ok()) return Annotate(job.status(), "from.job");
  const std::string directory = CheckpointDirectory(artifact_root, job->job.id());
  if (from.has_step() || from.best()) {
    ASSIGN_OR_RETURN(const CheckpointInfo info, OfStep(directory, from));
    return info.path;
  }
  if (!IsDirectory(directory)) {
    return absl::NotFoundError(absl::StrCat("from: job '", from.job(), "' has no checkpoint yet"));
  }
  auto newest = NewestWhole(directory, nullptr);
  if (!newest.ok()) return Annotate(newest.status(), absl::StrCat("from: job '", from.job(), "'"));
  return newest->path;
}

}  // namespace lockstep
