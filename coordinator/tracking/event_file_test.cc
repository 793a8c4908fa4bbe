#include "coordinator/tracking/event_file.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace lockstep::event_file_test {
namespace {

// The check value of CRC-32C is e3069283; TFRecord rotates it and adds a constant.
TEST(MaskedCrc32c, KnownValues) {
  const uint32_t crc = 0xe3069283u;
  EXPECT_EQ(MaskedCrc32c("123456789"), (crc >> 15 | crc << 17) + 0xa282ead8u);
  EXPECT_EQ(MaskedCrc32c(""), 0xa282ead8u);
}

TEST(TfRecord, LengthAndDataHaveACrcEach) {
  const std::string record = TfRecord("abc");
  ASSERT_EQ(record.size(), 8u + 4u + 3u + 4u);
  EXPECT_EQ(record.substr(0, 8), std::string("\3\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(record.substr(12, 3), "abc");
}

// The bytes that tensorboard 2.21 (Python) writes for the same messages.
TEST(Events, BytesAreThoseOfTensorboardsOwnMessages) {
  const absl::Time time = absl::FromUnixMillis(1500);
  EXPECT_EQ(absl::BytesToHexString(FileVersionEvent(time)),
            "09000000000000f83f1a0d627261696e2e4576656e743a32");
  google::protobuf::Map<std::string, double> values;
  values["train/loss"] = 0.25;
  values["accuracy"] = 1;
  EXPECT_EQ(
      absl::BytesToHexString(ScalarsEvent(time, 300, values)),
      "09000000000000f83f10ac022a240a0f0a086163637572616379150000803f0a110a0a747261696e2f6c6f7373150000803e");
  EXPECT_EQ(absl::BytesToHexString(TextEvent(time, 0, "spec", "a: 1")),
            "09000000000000f83f2a220a200a0473706563420e08071204120208014204613a20314a080a060a0474657874");
}

}  // namespace
}  // namespace lockstep::event_file_test
