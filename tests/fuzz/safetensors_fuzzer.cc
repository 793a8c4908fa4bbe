// The safetensors reader over any bytes: as a file, and as a header and data (parted by a zero byte) behind a
// length that is right, so that the fuzzer need not find that first.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "common/checkpoint/safetensors.h"
#include "common/checkpoint/safetensors_write.h"
#include "tests/fuzz/fuzz.h"

namespace {

void Read(std::string_view file) {
  const auto read = lockstep::SafetensorsFile::Parse(file, "fuzz");
  if (!read.ok()) return;
  std::set<std::string> names;
  size_t bytes = 0;
  unsigned sum = 0;
  for (const lockstep::TensorView& tensor : read->tensors()) {
    const auto size = lockstep::TensorBytes(tensor.dtype, tensor.shape);
    FUZZ_CHECK(size.ok());
    FUZZ_CHECK(names.insert(tensor.name).second);
    FUZZ_CHECK(read->Find(tensor.name)->data == tensor.data);
    const auto* data = static_cast<const unsigned char*>(tensor.data);
    for (int64_t i = 0; i < *size; ++i) sum += data[i];
    bytes += static_cast<size_t>(*size);
  }
  uint64_t header = 0;
  for (int i = 7; i >= 0; --i)
    header = header << 8 | static_cast<unsigned char>(file[static_cast<size_t>(i)]);
  FUZZ_CHECK(8 + header + bytes == file.size());
  FUZZ_CHECK(sum <= 255 * bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  Read(input);
  const size_t end = std::min(input.find('\0'), input.size());
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(end >> (8 * i));
  file.append(input.substr(0, end));
  if (end < input.size()) file.append(input.substr(end + 1));
  Read(file);
  return 0;
}
