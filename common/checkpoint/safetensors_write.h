// The writing half of safetensors, for callers that want the checksums of what was written.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/safetensors.h"

namespace lockstep {

// The largest header that is written or read; the reference implementation's limit.
inline constexpr int64_t kMaxSafetensorsHeader = 100'000'000;
inline constexpr int64_t kSafetensorsAlignment = 64;
inline constexpr char kSafetensorsMetadataKey[] = "__metadata__";

const char* DTypeName(DType dtype);
int64_t DTypeSize(DType dtype);
// Bytes of `shape`; INVALID_ARGUMENT: a negative size or an overflow.
absl::StatusOr<int64_t> TensorBytes(DType dtype, const std::vector<int64_t>& shape);

// Appends header and data; does not finish the file.
absl::Status AppendSafetensors(FileWriter& file, const std::vector<TensorView>& tensors,
                               const std::map<std::string, std::string>& metadata);

}  // namespace lockstep
