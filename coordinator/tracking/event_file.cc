#include "coordinator/tracking/event_file.h"

#include <google/protobuf/io/coded_stream.h>

#include <array>
#include <cstring>
#include <map>

namespace lockstep {
namespace {

using google::protobuf::io::CodedOutputStream;

// Field numbers.
enum Event { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5 };
enum Summary { kValue = 1 };
enum Value { kTag = 1, kSimpleValue = 2, kTensor = 8, kMetadata = 9 };
enum Metadata { kPluginData = 1 };
enum PluginData { kPluginName = 1 };
enum Tensor { kDtype = 1, kShape = 2, kStringValue = 8 };
enum Shape { kDim = 2 };
enum Dim { kSize = 1 };
constexpr uint64_t kString = 7;  // DataType

// The wire format of one message, field by field.
class Message {
 public:
  Message& Double(int field, double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    Tag(field, 1);
    return Fixed(bits, 8);
  }
  Message& Float(int field, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    Tag(field, 5);
    return Fixed(bits, 4);
  }
  Message& Varint(int field, uint64_t value) {
    Tag(field, 0);
    return Plain(value);
  }
  Message& Bytes(int field, std::string_view value) {
    Tag(field, 2);
    Plain(value.size());
    bytes_.append(value);
    return *this;
  }
  Message& Sub(int field, const Message& message) { return Bytes(field, message.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void Tag(int field, int wire_type) { Plain(static_cast<uint64_t>(field) << 3 | wire_type); }
  Message& Plain(uint64_t value) {
    uint8_t buffer[10];
    bytes_.append(buffer, CodedOutputStream::WriteVarint64ToArray(value, buffer));
    return *this;
  }
  Message& Fixed(uint64_t bits, int bytes) {
    for (int i = 0; i < bytes; ++i) bytes_ += static_cast<char>(bits >> (8 * i));
    return *this;
  }
  std::string bytes_;
};

Message EventAt(absl::Time time, int64_t step) {
  Message event;
  event.Double(kWallTime, static_cast<double>(absl::ToUnixNanos(time)) / 1e9);
  if (step != 0) event.Varint(kStep, static_cast<uint64_t>(step));
  return event;
}

std::string LittleEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

constexpr std::array<uint32_t, 256> CrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    table[i] = crc;
  }
  return table;
}

}  // namespace

uint32_t MaskedCrc32c(std::string_view data) {
  static constexpr std::array<uint32_t, 256> kTable = CrcTable();
  uint32_t crc = ~0u;
  for (const char c : data) crc = kTable[(crc ^ static_cast<uint8_t>(c)) & 255] ^ crc >> 8;
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

std::string TfRecord(std::string_view data) {
  const std::string length = LittleEndian(data.size(), 8);
  return absl::StrCat(length, LittleEndian(MaskedCrc32c(length), 4),
                      absl::string_view(data.data(), data.size()), LittleEndian(MaskedCrc32c(data), 4));
}

std::string FileVersionEvent(absl::Time time) {
  return EventAt(time, 0).Bytes(kFileVersion, "brain.Event:2").bytes();
}

std::string TextEvent(absl::Time time, int64_t step, const std::string& tag, const std::string& markdown) {
  const Message metadata = Message().Sub(kPluginData, Message().Bytes(kPluginName, "text"));
  const Message shape = Message().Sub(kDim, Message().Varint(kSize, 1));
  const Message tensor = Message().Varint(kDtype, kString).Sub(kShape, shape).Bytes(kStringValue, markdown);
  const Message value = Message().Bytes(kTag, tag).Sub(kTensor, tensor).Sub(kMetadata, metadata);
  return EventAt(time, step).Sub(kSummary, Message().Sub(kValue, value)).bytes();
}

std::string ScalarsEvent(absl::Time time, int64_t step,
                         const google::protobuf::Map<std::string, double>& values) {
  Message summary;
  for (const auto& [name, value] : std::map<std::string, double>(values.begin(), values.end())) {
    summary.Sub(kValue, Message().Bytes(kTag, name).Float(kSimpleValue, static_cast<float>(value)));
  }
  return EventAt(time, step).Sub(kSummary, summary).bytes();
}

}  // namespace lockstep
