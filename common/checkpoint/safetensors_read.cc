#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/safetensors.h"
#include "common/checkpoint/safetensors_write.h"

namespace lockstep {
namespace {

struct Entry {
  std::string name;
  std::optional<DType> dtype;
  std::optional<std::vector<int64_t>> shape;
  std::optional<std::vector<int64_t>> offsets;
};

std::optional<DType> ParseDType(const std::string& name) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kF64, DType::kI64, DType::kI32,
                            DType::kU8, DType::kBool}) {
    if (name == DTypeName(dtype)) return dtype;
  }
  return std::nullopt;
}

// Takes exactly the header's grammar and stops at the first thing outside it, so that a hostile header costs
// neither depth nor memory, and a name given twice is seen (a DOM would keep the last).
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
  absl::Status status;

  bool start_object(size_t) override {
    if (depth_ == 0 && !in_list_) return ++depth_, true;
    if (depth_ == 1 && !in_list_) return ++depth_, true;
    return Fail("an object where none is allowed");
  }
  bool end_object() override {
    if (--depth_ == 1) in_metadata_ = false;
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1) {
      if (!names_.insert(name).second) return Fail(absl::StrCat("'", name, "' appears twice"));
      in_metadata_ = name == kSafetensorsMetadataKey;
      if (!in_metadata_) entries.push_back({name, {}, {}, {}});
      field_.clear();
      return true;
    }
    field_ = name;
    if (in_metadata_) {
      if (metadata.contains(name)) return Fail(absl::StrCat("metadata '", name, "' appears twice"));
      return true;
    }
    const Entry& entry = entries.back();
    const bool again = (name == "dtype" && entry.dtype) || (name == "shape" && entry.shape) ||
                       (name == "data_offsets" && entry.offsets);
    if (again) return Fail(absl::StrCat("tensor '", entry.name, "' has '", name, "' twice"));
    if (name == "dtype" || name == "shape" || name == "data_offsets") return true;
    return Fail(absl::StrCat("tensor '", entry.name, "' has the unknown field '", name, "'"));
  }
  bool string(string_t& value) override {
    if (depth_ == 2 && !in_list_ && in_metadata_) {
      metadata[field_] = value;
      return true;
    }
    if (depth_ != 2 || in_list_ || field_ != "dtype") return Fail("a string where none is allowed");
    entries.back().dtype = ParseDType(value);
    if (entries.back().dtype) return true;
    status = absl::UnimplementedError(absl::StrCat("tensor '", entries.back().name, "' has the type '", value,
                                                   "'; known are F64, F32, F16, BF16, I64, I32, U8, BOOL"));
    return false;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_list_ || in_metadata_) return Fail("a list where none is allowed");
    if (field_ == "shape") {
      list_ = &entries.back().shape.emplace();
    } else if (field_ == "data_offsets") {
      list_ = &entries.back().offsets.emplace();
    } else {
      return Fail("a list where none is allowed");
    }
    return in_list_ = true;
  }
  bool end_array() override {
    in_list_ = false;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (!in_list_) return Fail("a number where none is allowed");
    if (value > static_cast<number_unsigned_t>(INT64_MAX)) return Fail("a number above 2^63 - 1");
    list_->push_back(static_cast<int64_t>(value));
    return true;
  }
  bool number_integer(number_integer_t) override { return Fail("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Fail("a number that is no integer"); }
  bool null() override { return Fail("a null"); }
  bool boolean(bool) override { return Fail("a boolean"); }
  bool binary(binary_t&) override { return Fail("binary data"); }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception& error) override {
    return Fail(absl::StrCat("not JSON at byte ", at, ": ", error.what()));
  }

 private:
  bool Fail(const std::string& what) {
    status = absl::DataLossError(absl::StrCat("header: ", what));
    return false;
  }

  int depth_ = 0;
  bool in_list_ = false;
  bool in_metadata_ = false;
  std::string field_;
  std::vector<int64_t>* list_ = nullptr;
  std::set<std::string> names_;
};

// The tensors must tile the data: no overlap, no gap, nothing after the last. Leaves them in file order.
absl::Status CheckTiling(std::vector<Entry>& entries, int64_t data_bytes) {
  for (const Entry& entry : entries) {
    const auto fail = [&](absl::string_view what) {
      return absl::DataLossError(absl::StrCat("header: tensor '", entry.name, "' ", what));
    };
    if (!entry.dtype || !entry.shape || !entry.offsets) return fail("lacks dtype, shape or data_offsets");
    if (entry.offsets->size() != 2) return fail("has data_offsets that are not two numbers");
    const int64_t begin = (*entry.offsets)[0], end = (*entry.offsets)[1];
    if (begin > end || end > data_bytes) {
      return fail(absl::StrCat("lies at [", begin, ", ", end, "), the data has ", data_bytes,
                               " bytes: truncated or altered"));
    }
    const absl::StatusOr<int64_t> bytes = TensorBytes(*entry.dtype, *entry.shape);
    if (!bytes.ok()) return fail(bytes.status().message());
    if (*bytes != end - begin) {
      return fail(absl::StrCat("needs ", *bytes, " bytes for its shape and has ", end - begin));
    }
  }
  std::vector<std::tuple<int64_t, int64_t, size_t>> order;
  for (size_t i = 0; i < entries.size(); ++i) {
    order.emplace_back((*entries[i].offsets)[0], (*entries[i].offsets)[1], i);
  }
  std::sort(order.begin(), order.end());
  std::vector<Entry> sorted;
  for (const auto& [begin, end, i] : order) sorted.push_back(std::move(entries[i]));
  entries = std::move(sorted);
  int64_t at = 0;
  for (const Entry& entry : entries) {
    if ((*entry.offsets)[0] != at) {
      return absl::DataLossError(absl::StrCat("header: tensor '", entry.name, "' begins at ",
                                              (*entry.offsets)[0], ", expected ", at, ": overlap or gap"));
    }
    at = (*entry.offsets)[1];
  }
  if (at != data_bytes) {
    return absl::DataLossError(
        absl::StrCat("the tensors end at ", at, ", the data has ", data_bytes, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(const RegularFile file, RegularFile::Open(path));
  const size_t size = static_cast<size_t>(file.size());
  if (size == 0) return Parse("", path);
  void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (mapped == MAP_FAILED) return DiskError(errno, "mmap", path);
  const std::shared_ptr<void> mapping(mapped, [size](void* address) { munmap(address, size); });
  ASSIGN_OR_RETURN(SafetensorsFile result, Parse({static_cast<const char*>(mapped), size}, path));
  if (result.mapping_ == nullptr) result.mapping_ = mapping;
  return result;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Parse(std::string_view bytes, const std::string& name) {
  const auto fail = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat(name, ": ", what));
  };
  uint64_t length = 0;
  if (bytes.size() < sizeof(length)) {
    return fail(absl::StrCat("has ", bytes.size(), " bytes, too short for a safetensors file"));
  }
  for (size_t i = 0; i < sizeof(length); ++i)
    length |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  if (length > static_cast<uint64_t>(kMaxSafetensorsHeader) || length > bytes.size() - sizeof(length)) {
    return fail(absl::StrCat("claims a header of ", length, " bytes; the file has ", bytes.size(),
                             " and the limit is ", kMaxSafetensorsHeader));
  }
  const std::string_view header = bytes.substr(sizeof(length), static_cast<size_t>(length));
  if (header.empty() || header[0] != '{') return fail("the header does not begin with '{'");

  HeaderHandler handler;
  if (!nlohmann::json::sax_parse(header.begin(), header.end(), &handler))
    return Annotate(handler.status, name);
  const std::string_view all = bytes.substr(sizeof(length) + header.size());
  RETURN_IF_ERROR(Annotate(CheckTiling(handler.entries, static_cast<int64_t>(all.size())), name));
  const char* data = all.data();

  // Other writers may leave a tensor unaligned for its type: then the data is copied to where it is.
  SafetensorsFile result;
  bool aligned = true;
  for (const Entry& entry : handler.entries) {
    aligned &= reinterpret_cast<uintptr_t>(data + (*entry.offsets)[0]) % DTypeSize(*entry.dtype) == 0;
  }
  if (!aligned) {
    for (const Entry& entry : handler.entries) {
      if ((*entry.offsets)[0] % DTypeSize(*entry.dtype) != 0) {
        return absl::UnimplementedError(
            absl::StrCat(name, ": tensor '", entry.name,
                         "' is not aligned to its type; save it again with wider types first"));
      }
    }
    const auto copy = std::make_shared<std::vector<double>>(all.size() / sizeof(double) + 1);
    std::memcpy(copy->data(), data, all.size());
    data = reinterpret_cast<const char*>(copy->data());
    result.mapping_ = std::shared_ptr<void>(copy, copy->data());
  }
  for (Entry& entry : handler.entries) {
    result.tensors_.push_back(
        {std::move(entry.name), *entry.dtype, *std::move(entry.shape), data + (*entry.offsets)[0]});
  }
  result.metadata_ = std::move(handler.metadata);
  return result;
}

const TensorView* SafetensorsFile::Find(const std::string& name) const {
  for (const TensorView& tensor : tensors_) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

}  // namespace lockstep
