#include "common/data/idx.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "absl/strings/escaping.h"

namespace lockstep {
namespace {

uint64_t BigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

int SizeOf(uint8_t type) {
  switch (static_cast<IdxType>(type)) {
    case IdxType::kUbyte:
    case IdxType::kByte:
      return 1;
    case IdxType::kShort:
      return 2;
    case IdxType::kInt:
    case IdxType::kFloat:
      return 4;
    case IdxType::kDouble:
      return 8;
  }
  return 0;
}

}  // namespace

bool LooksLikeIdx(std::string_view content) {
  return content.size() >= 4 && content[0] == 0 && content[1] == 0;
}

double IdxArray::At(int64_t element) const {
  const size_t width = static_cast<size_t>(SizeOf(static_cast<uint8_t>(type)));
  const uint64_t bits = BigEndian(data.substr(static_cast<size_t>(element) * width, width));
  switch (type) {
    case IdxType::kUbyte:
      return static_cast<double>(bits);
    case IdxType::kByte:
      return static_cast<int8_t>(bits);
    case IdxType::kShort:
      return static_cast<int16_t>(bits);
    case IdxType::kInt:
      return static_cast<int32_t>(bits);
    case IdxType::kFloat:
      return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    case IdxType::kDouble:
      return std::bit_cast<double>(bits);
  }
  return 0;
}

absl::StatusOr<IdxArray> ParseIdx(std::string_view content) {
  const uint8_t type = content.size() >= 4 ? static_cast<uint8_t>(content[2]) : 0;
  const int width = SizeOf(type);
  if (!LooksLikeIdx(content) || width == 0 || content[3] == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "not an IDX file: expected the magic 0000 <type 08, 09, 0b, 0c, 0d or 0e> <dimensions 01..>, got ",
        absl::BytesToHexString({content.data(), std::min<size_t>(content.size(), 4)})));
  }
  const size_t dimensions = static_cast<uint8_t>(content[3]);
  const size_t header = 4 + 4 * dimensions;
  if (content.size() < header) {
    return absl::InvalidArgumentError(absl::StrCat("the IDX file is truncated: its header of ", dimensions,
                                                   " dimensions takes ", header, " bytes, it has ",
                                                   content.size()));
  }
  IdxArray array;
  array.type = static_cast<IdxType>(type);
  bool overflow = false;
  for (size_t d = 0; d < dimensions; ++d) {
    const uint64_t extent = BigEndian(content.substr(4 + 4 * d, 4));
    if (extent > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) overflow = true;
    if (d == 0) {
      array.records = static_cast<int64_t>(extent);
      continue;
    }
    array.shape.push_back(static_cast<int32_t>(extent));
    if (extent == 0) {
      return absl::InvalidArgumentError(absl::StrCat("dimension ", d, " of the IDX file is 0"));
    }
    overflow |= __builtin_mul_overflow(array.elements, static_cast<int64_t>(extent), &array.elements);
  }
  int64_t values = 0, bytes = 0;
  overflow |= __builtin_mul_overflow(array.elements, array.records, &values);
  overflow |= __builtin_mul_overflow(values, static_cast<int64_t>(width), &bytes);
  const uint64_t have = content.size() - header;
  if (overflow || static_cast<uint64_t>(bytes) > have) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the IDX file is truncated: its header asks for ", array.records, " records of ",
        overflow ? "more bytes than can be counted" : absl::StrCat(array.elements * width, " bytes"),
        ", it holds ", have, " bytes of data"));
  }
  if (array.records == 0) return absl::InvalidArgumentError("the IDX file holds no records");
  if (static_cast<uint64_t>(bytes) < have) {
    return absl::InvalidArgumentError(absl::StrCat("the IDX file holds ", have - static_cast<uint64_t>(bytes),
                                                   " bytes more than its header's ", array.records,
                                                   " records take; is the header right?"));
  }
  array.data = content.substr(header);
  if (array.type == IdxType::kFloat || array.type == IdxType::kDouble) {
    for (int64_t i = 0; i < values; ++i) {
      if (!std::isfinite(array.At(i))) {
        return absl::InvalidArgumentError(absl::StrCat("row ", i / array.elements + 1,
                                                       " of the IDX file holds a value that is not finite (",
                                                       array.At(i), ", element ", i % array.elements, ")"));
      }
    }
  }
  return array;
}

}  // namespace lockstep
