// Checkpoints: a folder per step, written so that only whole ones exist and verified before anything in them
// is believed. docs/checkpoint-format.md specifies the bytes. Write order: files -> fsync each ->
// manifest.json -> fsync -> rename(.tmp-step-N, step-N) -> fsync of the parent.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/checkpoint/safetensors.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

struct CheckpointManifest {
  std::string job_id;
  int64_t step = 0;  // optimizer steps done; with steps_per_epoch this is the data cursor
  double epoch = 0;
  std::string spec_hash;
  std::string dataset_version;
  std::string dataset_fingerprint;
  v1::NumericProfile profile;
  std::map<std::string, double> metrics;  // validation/... at this step
  std::map<std::string, std::string>
      program_state;  // small things a program must remember (early stopping's best, patience, ...)
  bool best = false;
};

struct CheckpointContent {
  CheckpointManifest manifest;
  std::vector<TensorView> model;      // -> model.safetensors
  std::vector<TensorView> optimizer;  // -> optimizer-00000-of-00001.safetensors; may be empty
  std::map<std::string, std::string>
      files;  // further small files by base name (spec.yaml, preprocessing.json, ...)
};

struct CheckpointInfo {
  std::string path;
  CheckpointManifest manifest;
  int64_t bytes = 0;
  int64_t written_at_unix_nanos = 0;
};

// Writes <directory>/step-<N, 12 digits>. An equal existing step is replaced. On any error (disk full:
// RESOURCE_EXHAUSTED) the temporary folder is removed and what was there before is untouched.
absl::StatusOr<CheckpointInfo> WriteCheckpoint(const std::string& directory,
                                               const CheckpointContent& content);

// Verified and opened: every file of the manifest is there with its size and XXH3 checksum. DATA_LOSS names
// the file and what is wrong.
struct OpenedCheckpoint {
  CheckpointInfo info;
  SafetensorsFile model;
  std::vector<SafetensorsFile> optimizer;
};
absl::StatusOr<OpenedCheckpoint> OpenCheckpoint(const std::string& path);

// Only the verification.
absl::Status VerifyCheckpoint(const std::string& path);

// All folders step-* in `directory`, newest first, with unreadable ones left in as (path, problem) in
// `broken`. Does not read tensor files.
absl::StatusOr<std::vector<CheckpointInfo>> ListCheckpoints(
    const std::string& directory, std::vector<std::pair<std::string, std::string>>* broken);

// The newest one that verifies, NOT_FOUND if there is none at all, DATA_LOSS if all fail (lists why).
// `skipped` gets one line per refused one.
absl::StatusOr<CheckpointInfo> NewestWhole(const std::string& directory, std::vector<std::string>* skipped);

// Deletes all but the newest `keep_last` and the newest with manifest.best; also leftover .tmp-* folders, but
// for those of a later step than the newest: other ranks may be writing them. Returns what it removed.
absl::StatusOr<std::vector<std::string>> ApplyRetention(const std::string& directory, int keep_last);

// Writes model.safetensors and `files` as a folder (same write order, with manifest.json); returns
// model.safetensors' SHA-256, hex.
absl::StatusOr<std::string> WriteModel(const std::string& path, const CheckpointManifest& manifest,
                                       const std::vector<TensorView>& model,
                                       const std::map<std::string, std::string>& files);

}  // namespace lockstep
