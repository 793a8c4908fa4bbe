#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/manifest.h"

namespace lockstep {
namespace {

absl::StatusOr<StoredManifest> Verify(const std::string& path) {
  ASSIGN_OR_RETURN(StoredManifest manifest, ReadManifest(path));
  if (!manifest.files.contains(kModelName)) {
    return absl::DataLossError(absl::StrCat(path, "/", kManifestName, ": names no ", kModelName));
  }
  RETURN_IF_ERROR(CheckSizes(path, manifest));
  for (const auto& [name, expected] : manifest.files) {
    const std::string file = absl::StrCat(path, "/", name);
    int64_t bytes = 0;
    ASSIGN_OR_RETURN(const uint64_t xxh3, HashFile(file, &bytes));
    if (bytes != expected.bytes || xxh3 != expected.xxh3) {
      return absl::DataLossError(
          absl::StrFormat("%s: checksum %016x over %d bytes, the manifest says %016x over %d: the file was "
                          "altered or the disk is "
                          "failing",
                          file, xxh3, bytes, expected.xxh3, expected.bytes));
    }
  }
  return manifest;
}

CheckpointInfo WholeInfo(const std::string& path, const StoredManifest& manifest) {
  CheckpointInfo info = MakeInfo(path, manifest);
  std::error_code error;
  const auto size = std::filesystem::file_size(absl::StrCat(path, "/", kManifestName), error);
  if (!error) info.bytes += static_cast<int64_t>(size);
  return info;
}

// (step, path) of the folders step-*, newest first. A missing directory holds none.
absl::StatusOr<std::vector<std::pair<int64_t, std::string>>> StepFolders(const std::string& directory) {
  std::vector<std::pair<int64_t, std::string>> folders;
  std::error_code error;
  std::filesystem::directory_iterator at(directory, error);
  if (error == std::errc::no_such_file_or_directory) return folders;
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!absl::StartsWith(name, kStepPrefix)) continue;
    int64_t step;
    const std::string digits = name.substr(absl::string_view(kStepPrefix).size());
    const bool number = digits.find_first_not_of("0123456789") == std::string::npos && !digits.empty() &&
                        absl::SimpleAtoi(digits, &step);
    folders.emplace_back(number ? step : -1, absl::StrCat(directory, "/", name));
  }
  if (error) return DiskError(error.value(), "read folder", directory);
  std::sort(folders.rbegin(), folders.rend());
  return folders;
}

absl::StatusOr<CheckpointInfo> Inspect(const std::string& path, int64_t step) {
  ASSIGN_OR_RETURN(const StoredManifest manifest, ReadManifest(path));
  RETURN_IF_ERROR(CheckSizes(path, manifest));
  if (manifest.content.step != step) {
    return absl::DataLossError(
        absl::StrCat(path, ": holds step ", manifest.content.step, ": was it renamed?"));
  }
  return WholeInfo(path, manifest);
}

}  // namespace

absl::Status VerifyCheckpoint(const std::string& path) { return Verify(path).status(); }

absl::StatusOr<OpenedCheckpoint> OpenCheckpoint(const std::string& path) {
  ASSIGN_OR_RETURN(const StoredManifest manifest, Verify(path));
  OpenedCheckpoint opened;
  opened.info = WholeInfo(path, manifest);
  ASSIGN_OR_RETURN(opened.model, SafetensorsFile::Open(absl::StrCat(path, "/", kModelName)));
  for (const auto& [name, file] : manifest.files) {
    if (!absl::StartsWith(name, kOptimizerPrefix) || !absl::EndsWith(name, kTensorSuffix)) continue;
    ASSIGN_OR_RETURN(SafetensorsFile part, SafetensorsFile::Open(absl::StrCat(path, "/", name)));
    opened.optimizer.push_back(std::move(part));
  }
  return opened;
}

absl::StatusOr<std::vector<CheckpointInfo>> ListCheckpoints(
    const std::string& directory, std::vector<std::pair<std::string, std::string>>* broken) {
  ASSIGN_OR_RETURN(const auto folders, StepFolders(directory));
  std::vector<CheckpointInfo> infos;
  for (const auto& [step, path] : folders) {
    absl::StatusOr<CheckpointInfo> info = Inspect(path, step);
    if (info.ok()) {
      infos.push_back(*std::move(info));
    } else if (broken != nullptr) {
      broken->emplace_back(path, std::string(info.status().message()));
    }
  }
  return infos;
}

absl::StatusOr<CheckpointInfo> NewestWhole(const std::string& directory, std::vector<std::string>* skipped) {
  ASSIGN_OR_RETURN(const auto folders, StepFolders(directory));
  std::vector<std::string> problems;
  for (const auto& [step, path] : folders) {
    absl::StatusOr<CheckpointInfo> info = Inspect(path, step);
    absl::Status status = info.ok() ? VerifyCheckpoint(path) : info.status();
    if (status.ok()) return info;
    problems.push_back(std::string(status.message()));
    if (skipped != nullptr) skipped->push_back(problems.back());
  }
  if (folders.empty()) return absl::NotFoundError(absl::StrCat(directory, ": no checkpoint there"));
  return absl::DataLossError(absl::StrCat(directory, ": none of ", folders.size(),
                                          " checkpoints is whole: ", absl::StrJoin(problems, "; ")));
}

absl::StatusOr<std::vector<std::string>> ApplyRetention(const std::string& directory, int keep_last) {
  if (keep_last < 1) {
    return absl::InvalidArgumentError(absl::StrCat("keep_last is ", keep_last, ", expected at least 1"));
  }
  ASSIGN_OR_RETURN(const auto folders, StepFolders(directory));
  std::vector<std::string> doomed;
  int kept = 0;
  bool best_kept = false;
  for (const auto& [step, path] : folders) {  // newest first
    const absl::StatusOr<CheckpointInfo> info = Inspect(path, step);
    const bool is_best = info.ok() && info->manifest.best && !best_kept;
    best_kept |= is_best;
    // One that cannot be read counts for nothing and stays while it is newer than the last one kept: the
    // cause may pass, and it is evidence.
    if (kept < keep_last) {
      kept += info.ok();
    } else if (!is_best) {
      doomed.push_back(path);
    }
  }

  std::vector<std::string> removed;
  for (const std::string& path : doomed) {
    // Out of sight first: a crash in the middle must not leave half a checkpoint under a real name.
    const std::string name = path.substr(directory.size() + 1);
    const std::string hidden = absl::StrCat(directory, "/", kTemporaryPrefix, "removed-", name);
    RETURN_IF_ERROR(RemoveTree(hidden));
    RETURN_IF_ERROR(Rename(path, hidden));
    removed.push_back(path);
  }
  std::error_code error;
  std::vector<std::string> leftovers;
  std::filesystem::directory_iterator at(directory, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    if (absl::StartsWith(at->path().filename().string(), kTemporaryPrefix)) leftovers.push_back(at->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return DiskError(error.value(), "read folder", directory);
  }
  if (!leftovers.empty()) RETURN_IF_ERROR(SyncDirectory(directory));
  const int64_t newest = folders.empty() ? -1 : folders.front().first;
  for (const std::string& path : leftovers) {
    // One of a later step may be under way, by other ranks.
    int64_t step = 0;
    absl::string_view name = absl::string_view(path).substr(directory.size() + 1);
    if (absl::ConsumePrefix(&name, absl::StrCat(kTemporaryPrefix, kStepPrefix)) &&
        absl::SimpleAtoi(name.substr(0, kStepDigits), &step) && step > newest) {
      continue;
    }
    RETURN_IF_ERROR(RemoveTree(path));
    if (!absl::StrContains(path, absl::StrCat(kTemporaryPrefix, "removed-"))) removed.push_back(path);
  }
  return removed;
}

}  // namespace lockstep
