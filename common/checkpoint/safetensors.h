// The safetensors format (huggingface/safetensors README): uint64 little-endian header length, JSON header,
// tensor bytes. Reading treats the file as hostile: checked arithmetic, no overlap, no gap, header at most
// 100 MB.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace lockstep {

enum class DType { kF32, kBF16, kF16, kF64, kI64, kI32, kU8, kBool };

struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  const void* data = nullptr;  // shape's product elements, not owned
};

// Writes and fsyncs `path`. RESOURCE_EXHAUSTED: disk full. The header is padded with spaces so that the data
// starts at a multiple of 64.
absl::Status WriteSafetensors(const std::string& path, const std::vector<TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata);

// A mapped file; the views live as long as it (or a copy of it) does.
class SafetensorsFile {
 public:
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);
  // From memory, which must outlive the views; errors name it `name`.
  static absl::StatusOr<SafetensorsFile> Parse(std::string_view bytes, const std::string& name);
  const std::vector<TensorView>& tensors() const { return tensors_; }
  const TensorView* Find(const std::string& name) const;  // nullptr: not there
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::shared_ptr<void> mapping_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace lockstep
