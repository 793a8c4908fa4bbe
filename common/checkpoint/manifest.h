// manifest.json: what a checkpoint folder holds and how to know that it is whole. docs/checkpoint-format.md
// specifies the bytes; the constants are here.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "common/checkpoint/checkpoint.h"

namespace lockstep {

inline constexpr char kManifestName[] = "manifest.json";
inline constexpr char kModelName[] = "model.safetensors";
inline constexpr char kOptimizerPrefix[] = "optimizer-";
inline constexpr char kTensorSuffix[] = ".safetensors";
inline constexpr char kStepPrefix[] = "step-";
inline constexpr int kStepDigits = 12;
inline constexpr char kTemporaryPrefix[] = ".tmp-";
inline constexpr char kManifestFormat[] = "lockstep-checkpoint";
inline constexpr int kManifestVersion = 1;
inline constexpr int64_t kMaxManifestBytes = int64_t{16} << 20;

struct ManifestFile {
  int64_t bytes = 0;
  uint64_t xxh3 = 0;
};

struct StoredManifest {
  CheckpointManifest content;
  int64_t written_at_unix_nanos = 0;
  std::map<std::string, ManifestFile> files;
};

// A plain name without separators that is not hidden: safe to join to a folder's path.
bool IsBaseName(absl::string_view name);

// INVALID_ARGUMENT: a text is not UTF-8.
absl::StatusOr<std::string> FormatManifest(const StoredManifest& manifest);

// DATA_LOSS: its own checksum, its form, or a file name in it is wrong. UNIMPLEMENTED: a newer version.
absl::StatusOr<StoredManifest> ParseManifest(absl::string_view text);

// The manifest of a folder, read and checked.
absl::StatusOr<StoredManifest> ReadManifest(const std::string& folder);

// Every file is there with its size; content is not read.
absl::Status CheckSizes(const std::string& folder, const StoredManifest& manifest);

CheckpointInfo MakeInfo(const std::string& folder, const StoredManifest& manifest);

}  // namespace lockstep
