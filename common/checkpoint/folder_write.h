// The pieces of a checkpoint's folder, each written and made durable, and noted in its manifest.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/checkpoint/manifest.h"

namespace lockstep {

std::string OptimizerFileName(int index, int count);
std::string StepName(int64_t step);

absl::Status CheckFileNames(const std::map<std::string, std::string>& files);

// `sha256`, where given, receives that of the file.
absl::Status WriteTensors(const std::string& folder, const std::string& name,
                          const std::vector<TensorView>& tensors, StoredManifest* stored,
                          std::string* sha256);
// Returns the bytes written. `stored` may be null.
absl::StatusOr<int64_t> WriteText(const std::string& folder, const std::string& name, const std::string& text,
                                  StoredManifest* stored);
// The last file; then the folder itself is made durable.
absl::StatusOr<CheckpointInfo> WriteManifest(const std::string& folder, const StoredManifest& stored);

}  // namespace lockstep
