// IDX, the format of MNIST: two zero bytes, a type byte, the number of dimensions, the dimensions (32 bits,
// big endian) and the elements in row-major order (big endian). The first dimension counts the records.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace lockstep {

enum class IdxType : uint8_t {
  kUbyte = 0x08,
  kByte = 0x09,
  kShort = 0x0B,
  kInt = 0x0C,
  kFloat = 0x0D,
  kDouble = 0x0E
};

// A view of an IDX file's content; the bytes must outlive it.
struct IdxArray {
  IdxType type = IdxType::kUbyte;
  int64_t records = 0;
  std::vector<int32_t> shape;  // of one record; empty: one element
  int64_t elements = 1;        // of one record
  std::string_view data;       // records * elements of the type

  double At(int64_t element) const;  // over all records
};

bool LooksLikeIdx(std::string_view content);

// INVALID_ARGUMENT: wrong magic, impossible dimensions, fewer or more bytes than they ask for, a value that
// is not finite (names the record). Messages begin without the file's name.
absl::StatusOr<IdxArray> ParseIdx(std::string_view content);

}  // namespace lockstep
