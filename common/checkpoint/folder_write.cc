#include "common/checkpoint/folder_write.h"

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/safetensors_write.h"

namespace lockstep {
namespace {

// Readers of other projects look for it ("pt": plain tensors, as PyTorch lays them out). Nothing that differs
// between two runs may stand in model.safetensors: its SHA-256 is the job's fingerprint.
const std::map<std::string, std::string>& Metadata() {
  static const auto* metadata = new std::map<std::string, std::string>{{"format", "pt"}};
  return *metadata;
}

}  // namespace

std::string OptimizerFileName(int index, int count) {
  return absl::StrFormat("%s%05d-of-%05d%s", kOptimizerPrefix, index, count, kTensorSuffix);
}

std::string StepName(int64_t step) { return absl::StrFormat("%s%0*d", kStepPrefix, kStepDigits, step); }

absl::Status CheckFileNames(const std::map<std::string, std::string>& files) {
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
                          const std::vector<TensorView>& tensors, StoredManifest* stored,
                          std::string* sha256) {
  ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(absl::StrCat(folder, "/", name), sha256 != nullptr));
  RETURN_IF_ERROR(Annotate(AppendSafetensors(file, tensors, Metadata()), name));
  RETURN_IF_ERROR(file.Finish());
  stored->files[name] = {file.bytes(), file.xxh3()};
  if (sha256 != nullptr) *sha256 = file.sha256();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> WriteText(const std::string& folder, const std::string& name, const std::string& text,
                                  StoredManifest* stored) {
  ASSIGN_OR_RETURN(FileWriter file,
                   FileWriter::Create(absl::StrCat(folder, "/", name), /*with_sha256=*/false));
  RETURN_IF_ERROR(file.Append(text.data(), text.size()));
  RETURN_IF_ERROR(file.Finish());
  if (stored != nullptr) stored->files[name] = {file.bytes(), file.xxh3()};
  return file.bytes();
}

absl::StatusOr<CheckpointInfo> WriteManifest(const std::string& folder, const StoredManifest& stored) {
  ASSIGN_OR_RETURN(const std::string manifest, FormatManifest(stored));
  if (static_cast<int64_t>(manifest.size()) > kMaxManifestBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the manifest would have ", manifest.size(),
                                                   " bytes; keep program_state and metrics below ",
                                                   kMaxManifestBytes));
  }
  ASSIGN_OR_RETURN(const int64_t bytes, WriteText(folder, kManifestName, manifest, nullptr));
  RETURN_IF_ERROR(SyncDirectory(folder));
  CheckpointInfo info = MakeInfo(folder, stored);
  info.bytes += bytes;
  return info;
}

}  // namespace lockstep
