#include "common/checkpoint/safetensors_write.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_join.h"

namespace lockstep {
namespace {

absl::StatusOr<std::string> JsonString(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("a name or text is not valid UTF-8: ", error.what()));
  }
}

}  // namespace

const char* DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
    case DType::kF64:
      return "F64";
    case DType::kI64:
      return "I64";
    case DType::kI32:
      return "I32";
    case DType::kU8:
      return "U8";
    case DType::kBool:
      return "BOOL";
  }
  return "?";
}

int64_t DTypeSize(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
    case DType::kF16:
      return 2;
    case DType::kU8:
    case DType::kBool:
      return 1;
  }
  return 1;
}

absl::StatusOr<int64_t> TensorBytes(DType dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = DTypeSize(dtype);
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape [", absl::StrJoin(shape, ", "), "] has a negative or overflowing size"));
    }
  }
  return bytes;
}

absl::Status AppendSafetensors(FileWriter& file, const std::vector<TensorView>& tensors,
                               const std::map<std::string, std::string>& metadata) {
  // Wider types first, so that each tensor is aligned to its own type.
  std::vector<const TensorView*> ordered;
  for (const TensorView& tensor : tensors) ordered.push_back(&tensor);
  std::stable_sort(ordered.begin(), ordered.end(), [](const TensorView* a, const TensorView* b) {
    return DTypeSize(a->dtype) > DTypeSize(b->dtype);
  });

  std::vector<std::string> entries;
  if (!metadata.empty()) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : metadata) {
      ASSIGN_OR_RETURN(const std::string json_key, JsonString(key));
      ASSIGN_OR_RETURN(const std::string json_value, JsonString(value));
      pairs.push_back(absl::StrCat(json_key, ":", json_value));
    }
    entries.push_back(absl::StrCat("\"", kSafetensorsMetadataKey, "\":{", absl::StrJoin(pairs, ","), "}"));
  }
  std::set<std::string> names;
  std::vector<int64_t> sizes;
  int64_t offset = 0;
  for (const TensorView* tensor : ordered) {
    if (tensor->name == kSafetensorsMetadataKey || !names.insert(tensor->name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor name '", tensor->name, "' is reserved or used twice"));
    }
    absl::StatusOr<int64_t> bytes = TensorBytes(tensor->dtype, tensor->shape);
    if (!bytes.ok()) return Annotate(bytes.status(), absl::StrCat("tensor '", tensor->name, "'"));
    if (tensor->data == nullptr && *bytes > 0) {
      return absl::InvalidArgumentError(absl::StrCat("tensor '", tensor->name, "' has no data"));
    }
    int64_t end;
    if (__builtin_add_overflow(offset, *bytes, &end)) {
      return absl::InvalidArgumentError("the tensors together overflow 2^63 bytes");
    }
    ASSIGN_OR_RETURN(const std::string name, JsonString(tensor->name));
    entries.push_back(absl::StrCat(name, ":{\"dtype\":\"", DTypeName(tensor->dtype), "\",\"shape\":[",
                                   absl::StrJoin(tensor->shape, ","), "],\"data_offsets\":[", offset, ",",
                                   end, "]}"));
    sizes.push_back(*bytes);
    offset = end;
  }

  std::string header = absl::StrCat("{", absl::StrJoin(entries, ","), "}");
  while ((sizeof(uint64_t) + header.size()) % kSafetensorsAlignment != 0) header += ' ';
  if (static_cast<int64_t>(header.size()) > kMaxSafetensorsHeader) {
    return absl::InvalidArgumentError(absl::StrCat("the header needs ", header.size(),
                                                   " bytes, above the limit of ", kMaxSafetensorsHeader));
  }
  unsigned char length[sizeof(uint64_t)];
  for (size_t i = 0; i < sizeof(length); ++i)
    length[i] = static_cast<unsigned char>(header.size() >> (8 * i));
  header.insert(0, reinterpret_cast<const char*>(length), sizeof(length));
  RETURN_IF_ERROR(file.Append(header.data(), header.size()));
  for (size_t i = 0; i < ordered.size(); ++i) {
    RETURN_IF_ERROR(file.Append(ordered[i]->data, static_cast<size_t>(sizes[i])));
  }
  return absl::OkStatus();
}

absl::Status WriteSafetensors(const std::string& path, const std::vector<TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata) {
  ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path, /*with_sha256=*/false));
  absl::Status status = AppendSafetensors(file, tensors, metadata);
  if (status.ok()) status = file.Finish();
  if (!status.ok()) unlink(path.c_str());
  return Annotate(status, path);
}

}  // namespace lockstep
