#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/manifest.h"
#include "common/checkpoint/safetensors_write.h"

namespace lockstep {
namespace {

// Readers of other projects look for it ("pt": plain tensors, as PyTorch lays them out). Nothing that differs
// between two runs may stand in model.safetensors: its SHA-256 is the job's fingerprint.
const std::map<std::string, std::string>& Metadata() {
  static const auto* metadata = new std::map<std::string, std::string>{{"format", "pt"}};
  return *metadata;
}

struct Folder {
  const CheckpointManifest& manifest;
  const std::vector<TensorView>& model;
  const std::vector<TensorView>* optimizer;  // nullptr: none
  const std::map<std::string, std::string>& files;
};

absl::Status CheckNames(const std::map<std::string, std::string>& files) {
  for (const auto& [name, content] : files) {
    if (!IsBaseName(name) || name == kManifestName || absl::EndsWith(name, kTensorSuffix)) {
      return absl::InvalidArgumentError(absl::StrCat("file name '", name,
                                                     "': expected a plain name that is neither hidden, nor ",
                                                     kManifestName, ", nor *", kTensorSuffix));
    }
  }
  return absl::OkStatus();
}

absl::Status WriteTensors(const std::string& folder, const std::string& name,
                          const std::vector<TensorView>& tensors, StoredManifest& stored,
                          std::string* sha256) {
  ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(absl::StrCat(folder, "/", name), sha256 != nullptr));
  RETURN_IF_ERROR(Annotate(AppendSafetensors(file, tensors, Metadata()), name));
  RETURN_IF_ERROR(file.Finish());
  stored.files[name] = {file.bytes(), file.xxh3()};
  if (sha256 != nullptr) *sha256 = file.sha256();
  return absl::OkStatus();
}

// Returns the bytes written.
absl::StatusOr<int64_t> WriteText(const std::string& folder, const std::string& name, const std::string& text,
                                  StoredManifest* stored) {
  ASSIGN_OR_RETURN(FileWriter file,
                   FileWriter::Create(absl::StrCat(folder, "/", name), /*with_sha256=*/false));
  RETURN_IF_ERROR(file.Append(text.data(), text.size()));
  RETURN_IF_ERROR(file.Finish());
  if (stored != nullptr) stored->files[name] = {file.bytes(), file.xxh3()};
  return file.bytes();
}

absl::StatusOr<CheckpointInfo> Fill(const std::string& temporary, const Folder& content,
                                    std::string* sha256) {
  StoredManifest stored;
  stored.content = content.manifest;
  stored.written_at_unix_nanos = absl::GetCurrentTimeNanos();
  RETURN_IF_ERROR(MakeDirectory(temporary));
  RETURN_IF_ERROR(WriteTensors(temporary, kModelName, content.model, stored, sha256));
  if (content.optimizer != nullptr) {
    const std::string name = absl::StrFormat("%s%05d-of-%05d%s", kOptimizerPrefix, 0, 1, kTensorSuffix);
    RETURN_IF_ERROR(WriteTensors(temporary, name, *content.optimizer, stored, nullptr));
  }
  for (const auto& [name, text] : content.files) {
    RETURN_IF_ERROR(WriteText(temporary, name, text, &stored).status());
  }
  ASSIGN_OR_RETURN(const std::string manifest, FormatManifest(stored));
  if (static_cast<int64_t>(manifest.size()) > kMaxManifestBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the manifest would have ", manifest.size(),
                                                   " bytes; keep program_state and metrics below ",
                                                   kMaxManifestBytes));
  }
  ASSIGN_OR_RETURN(const int64_t manifest_bytes, WriteText(temporary, kManifestName, manifest, nullptr));
  RETURN_IF_ERROR(SyncDirectory(temporary));
  CheckpointInfo info = MakeInfo(temporary, stored);
  info.bytes += manifest_bytes;
  return info;
}

absl::StatusOr<CheckpointInfo> WriteFolder(const std::string& directory, const std::string& name,
                                           const Folder& content, std::string* sha256) {
  RETURN_IF_ERROR(CheckNames(content.files));
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
  return WriteFolder(directory, absl::StrFormat("%s%0*d", kStepPrefix, kStepDigits, content.manifest.step),
                     folder, nullptr);
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
