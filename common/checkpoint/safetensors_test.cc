#include "common/checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"

namespace lockstep::safetensors_test {
namespace {

std::string TempFile(const std::string& name) { return testing::TempDir() + "/lockstep_safetensors_" + name; }

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// A file with this header and `data` bytes of data.
absl::Status OpenWith(const std::string& header, size_t data, uint64_t claimed = UINT64_MAX) {
  const std::string path = TempFile("hostile");
  const uint64_t length = claimed == UINT64_MAX ? header.size() : claimed;
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i));
  Write(path, bytes + header + std::string(data, 'x'));
  return SafetensorsFile::Open(path).status();
}

std::string Tensor(const std::string& name, const std::string& shape, const std::string& offsets) {
  return absl::StrCat("\"", name, "\":{\"dtype\":\"F32\",\"shape\":[", shape, "],\"data_offsets\":[", offsets,
                      "]}");
}

TEST(SafetensorsTest, WhatIsWrittenIsRead) {
  const std::string path = TempFile("round");
  const std::vector<float> weights = {1, 2, 3, 4, 5, 6};
  const std::vector<uint8_t> bytes = {7, 8, 9};
  const int64_t step = 12;
  ASSERT_TRUE(WriteSafetensors(path,
                               {{"b", DType::kU8, {3}, bytes.data()},
                                {"w \"quoted\" \xC3\xA9", DType::kF32, {2, 3}, weights.data()},
                                {"empty", DType::kF32, {0, 4}, nullptr},
                                {"step", DType::kI64, {}, &step}},
                               {{"format", "pt"}})
                  .ok());
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors().size(), 4u);
  EXPECT_EQ(file->metadata().at("format"), "pt");
  const TensorView* w = file->Find("w \"quoted\" \xC3\xA9");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::vector<float>(static_cast<const float*>(w->data), static_cast<const float*>(w->data) + 6),
            weights);
  EXPECT_EQ(*static_cast<const int64_t*>(file->Find("step")->data), 12);
  EXPECT_EQ(static_cast<const uint8_t*>(file->Find("b")->data)[2], 9);
  EXPECT_EQ(file->Find("absent"), nullptr);
  const std::string raw = Read(path);
  EXPECT_EQ((8 + static_cast<unsigned char>(raw[0]) + 256 * static_cast<unsigned char>(raw[1])) % 64, 0);
}

TEST(SafetensorsTest, ViewsOutliveTheFileObjectWhileACopyLives) {
  const std::string path = TempFile("copy");
  const float value = 5;
  ASSERT_TRUE(WriteSafetensors(path, {{"x", DType::kF32, {1}, &value}}, {}).ok());
  SafetensorsFile copy;
  {
    auto file = SafetensorsFile::Open(path);
    ASSERT_TRUE(file.ok());
    copy = *file;
  }
  EXPECT_EQ(*static_cast<const float*>(copy.Find("x")->data), 5);
}

TEST(SafetensorsTest, UnwritableTensorsAreRefused) {
  const float value = 1;
  const std::string path = TempFile("unwritable");
  const auto write = [&](std::vector<TensorView> tensors) {
    return WriteSafetensors(path, tensors, {}).code();
  };
  EXPECT_EQ(write({{"a", DType::kF32, {1}, &value}, {"a", DType::kF32, {1}, &value}}),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(write({{"__metadata__", DType::kF32, {1}, &value}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(write({{"a\xFF", DType::kF32, {1}, &value}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(write({{"a", DType::kF32, {-1}, &value}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(write({{"a", DType::kF32, {int64_t{1} << 62, 4}, &value}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(write({{"a", DType::kF32, {1}, nullptr}}), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::ifstream(path).good()) << "a refused file stays behind";
}

TEST(SafetensorsTest, AWellFormedForeignHeaderIsAccepted) {
  EXPECT_TRUE(OpenWith("{}", 0).ok());
  EXPECT_TRUE(
      OpenWith(absl::StrCat("{", Tensor("b", "1", "4,8"), ",", Tensor("a", "1", "0,4"), "}      "), 8).ok());
}

TEST(SafetensorsTest, MisalignedDataIsCopiedIntoPlace) {
  // 8 + 61 bytes of header: every float of the file lies at an odd address.
  std::string header = absl::StrCat("{", Tensor("a", "2", "0,8"), "}");
  while (header.size() % 2 == 0 || header.size() < 61) header += ' ';
  const std::string path = TempFile("hostile");
  ASSERT_TRUE(OpenWith(header, 8).ok());
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->Find("a")->data) % alignof(float), 0u);
  EXPECT_EQ(static_cast<const char*>(file->Find("a")->data)[7], 'x');
}

TEST(SafetensorsTest, HostileHeadersAreRefusedAndTheFileIsNamed) {
  const std::string good = Tensor("a", "2", "0,8");
  const struct {
    const char* what;
    std::string header;
    size_t data;
    uint64_t claimed = UINT64_MAX;
  } cases[] = {
      {"length beyond the file", absl::StrCat("{", good, "}"), 8, 1'000'000},
      {"length overflows", absl::StrCat("{", good, "}"), 8, UINT64_MAX - 7},
      {"length zero", "", 0},
      {"header above the limit", "{}", 0, 100'000'001},
      {"not JSON", "{\"a\":", 8},
      {"no object", "[1]", 8},
      {"leading space", " {}", 0},
      {"bad UTF-8", absl::StrCat("{", Tensor("a\xFF", "2", "0,8"), "}"), 8},
      {"bytes after the object", absl::StrCat("{", good, "}x"), 8},
      {"name twice", absl::StrCat("{", good, ",", good, "}"), 8},
      {"metadata twice", "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0},
      {"metadata is a number", "{\"__metadata__\":{\"a\":1}}", 0},
      {"field twice", R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8},
      {"unknown field", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8},
      {"field missing", R"({"a":{"dtype":"F32","shape":[2]}})", 8},
      {"tensor is a number", R"({"a":3})", 8},
      {"dtype is a number", R"({"a":{"dtype":3,"shape":[2],"data_offsets":[0,8]}})", 8},
      {"shape is a text", R"({"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}})", 8},
      {"negative shape", absl::StrCat("{", Tensor("a", "-2", "0,8"), "}"), 8},
      {"fractional shape", absl::StrCat("{", Tensor("a", "2.0", "0,8"), "}"), 8},
      {"overflowing shape",
       absl::StrCat("{", Tensor("a", "4611686018427387904,4,4611686018427387904", "0,8"), "}"), 8},
      {"shape above 64 bits", absl::StrCat("{", Tensor("a", "36893488147419103232", "0,8"), "}"), 8},
      {"shape above 63 bits", absl::StrCat("{", Tensor("a", "18446744073709551615", "0,8"), "}"), 8},
      {"nested shape", absl::StrCat("{", Tensor("a", "[2]", "0,8"), "}"), 8},
      {"three offsets", absl::StrCat("{", Tensor("a", "2", "0,8,8"), "}"), 8},
      {"size lies", absl::StrCat("{", Tensor("a", "3", "0,8"), "}"), 8},
      {"offsets reversed", absl::StrCat("{", Tensor("a", "2", "8,0"), "}"), 8},
      {"offsets beyond the data", absl::StrCat("{", Tensor("a", "2", "0,8"), "}"), 7},
      {"offsets far beyond",
       absl::StrCat("{", Tensor("a", "2", "9223372036854775800,9223372036854775807"), "}"), 8},
      {"overlap", absl::StrCat("{", Tensor("a", "2", "0,8"), ",", Tensor("b", "2", "4,12"), "}"), 12},
      {"same place twice", absl::StrCat("{", Tensor("a", "2", "0,8"), ",", Tensor("b", "2", "0,8"), "}"), 8},
      {"gap", absl::StrCat("{", Tensor("a", "2", "0,8"), ",", Tensor("b", "2", "12,20"), "}"), 20},
      {"gap at the start", absl::StrCat("{", Tensor("a", "2", "4,12"), "}"), 12},
      {"bytes after the last tensor", absl::StrCat("{", good, "}"), 9},
      {"deep nesting", std::string(1'000'000, '['), 0},
      {"deep objects", "{\"a\":{\"dtype\":{\"x\":{}}}}", 0},
  };
  for (const auto& hostile : cases) {
    const absl::Status status = OpenWith(hostile.header, hostile.data, hostile.claimed);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << hostile.what << ": " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "hostile")) << hostile.what << ": " << status;
  }
}

TEST(SafetensorsTest, UnknownDTypeSaysWhatIsKnown) {
  const absl::Status status = OpenWith(R"({"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}})", 2);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(absl::StrContains(status.message(), "F8_E4M3")) << status;
}

TEST(SafetensorsTest, EveryTruncationIsRefused) {
  const std::string path = TempFile("truncated");
  const std::vector<float> weights(20, 1.0f);
  ASSERT_TRUE(WriteSafetensors(path, {{"w", DType::kF32, {4, 5}, weights.data()}}, {}).ok());
  const std::string whole = Read(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    Write(path, whole.substr(0, size));
    EXPECT_EQ(SafetensorsFile::Open(path).status().code(), absl::StatusCode::kDataLoss) << size;
  }
}

TEST(SafetensorsTest, MissingFileIsNotFound) {
  EXPECT_EQ(SafetensorsFile::Open(TempFile("missing")).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace lockstep::safetensors_test
