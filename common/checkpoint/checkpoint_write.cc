#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/folder_write.h"

namespace lockstep {
namespace {

struct Folder {
  const CheckpointManifest& manifest;
  const std::vector<TensorView>& model;
  const std::vector<TensorView>* optimizer;  // nullptr: none
  const std::map<std::string, std::string>& files;
};

absl::StatusOr<CheckpointInfo> Fill(const std::string& temporary, const Folder& content,
                                    std::string* sha256) {
  StoredManifest stored;
  stored.content = content.manifest;
  stored.written_at_unix_nanos = absl::GetCurrentTimeNanos();
  RETURN_IF_ERROR(MakeDirectory(temporary));
  RETURN_IF_ERROR(WriteTensors(temporary, kModelName, content.model, &stored, sha256));
  if (content.optimizer != nullptr) {
    RETURN_IF_ERROR(WriteTensors(temporary, OptimizerFileName(0, 1), *content.optimizer, &stored, nullptr));
  }
  for (const auto& [name, text] : content.files) {
    RETURN_IF_ERROR(WriteText(temporary, name, text, &stored).status());
  }
  return WriteManifest(temporary, stored);
}

absl::StatusOr<CheckpointInfo> WriteFolder(const std::string& directory, const std::string& name,
                                           const Folder& content, std::string* sha256) {
  RETURN_IF_ERROR(CheckFileNames(content.files));
  RETURN_IF_ERROR(MakeDirectories(directory));
  const std::string path = absl::StrCat(directory, "/", name);
  const std::string temporary = absl::StrCat(directory, "/", kTemporaryPrefix, name);
  RETURN_IF_ERROR(RemoveTree(temporary));  // of a crashed writer

  absl::StatusOr<CheckpointInfo> info = Fill(temporary, content, sha256);
  absl::Status status = info.status();
  if (status.ok()) status = ReplaceDirectory(temporary, path);
  if (!status.ok()) {
    const absl::Status removed = RemoveTree(temporary);
    return Annotate(status,
                    absl::StrCat("cannot write ", path, " (what was there is untouched",
                                 removed.ok() ? ")" : absl::StrCat("; ", temporary, " stays behind)")));
  }
  info->path = path;
  return info;
}

}  // namespace

absl::StatusOr<CheckpointInfo> WriteCheckpoint(const std::string& directory,
                                               const CheckpointContent& content) {
  if (content.manifest.step < 0) {
    return absl::InvalidArgumentError(absl::StrCat("step ", content.manifest.step, " is negative"));
  }
  const Folder folder = {content.manifest, content.model,
                         content.optimizer.empty() ? nullptr : &content.optimizer, content.files};
  return WriteFolder(directory, StepName(content.manifest.step), folder, nullptr);
}

absl::StatusOr<std::string> WriteModel(const std::string& path, const CheckpointManifest& manifest,
                                       const std::vector<TensorView>& model,
                                       const std::map<std::string, std::string>& files) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const size_t slash = trimmed.rfind('/');
  const std::string name = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  if (!IsBaseName(name)) {
    return absl::InvalidArgumentError(absl::StrCat("'", path, "': expected the path of a folder to make"));
  }
  std::string sha256;
  RETURN_IF_ERROR(
      WriteFolder(ParentDirectory(trimmed), name, {manifest, model, nullptr, files}, &sha256).status());
  return sha256;
}

}  // namespace lockstep
