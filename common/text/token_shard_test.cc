#include "common/text/token_shard.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Shard(std::vector<int32_t> header, const std::vector<uint16_t>& tokens) {
  header.resize(256);
  std::string bytes(reinterpret_cast<const char*>(header.data()), 1024);
  return bytes.append(reinterpret_cast<const char*>(tokens.data()), tokens.size() * 2);
}

std::string Problem(const std::string& bytes) {
  const absl::Status status = TokenShard::Parse(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

TEST(TokenShard, WrittenTokensAreReadBack) {
  const std::string path = (std::filesystem::path(::testing::TempDir()) / "token_shard_test.bin").string();
  ASSERT_TRUE(WriteTokenShard(path, std::vector<int32_t>{0, 65535, 258, 7}).ok());
  std::ifstream file(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(bytes, Shard({20240520, 1, 4}, {0, 65535, 258, 7})) << "llm.c's layout, byte for byte";
  const auto shard = TokenShard::Parse(bytes);
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->size(), 4);
  std::vector<int32_t> tokens(3);
  shard->Copy(1, 3, tokens.data());
  EXPECT_THAT(tokens, ElementsAre(65535, 258, 7));
  EXPECT_EQ(shard->Largest(), 65535);
  EXPECT_EQ(shard->FirstOutside(258), 1);
  EXPECT_EQ(shard->FirstOutside(65536), -1);
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(TokenShard, LyingHeadersAreRefusedWithTheirOffset) {
  const std::string good = Shard({20240520, 1, 3}, {1, 2, 3});
  for (size_t size = 0; size < good.size(); ++size) Problem(good.substr(0, size));
  EXPECT_THAT(Problem(good.substr(0, 1023)), HasSubstr("its header takes 1024 bytes, the file has 1023"));
  EXPECT_THAT(Problem(good + "x"), HasSubstr("byte 8: the header promises 3 tokens of 2 bytes, but 7 bytes"));
  EXPECT_THAT(Problem(Shard({20240521, 1, 0}, {})),
              HasSubstr("byte 0: expected the magic 20240520, got 20240521"));
  EXPECT_THAT(Problem(Shard({20240520, 7, 0}, {})),
              HasSubstr("byte 4: expected version 1 (16-bit tokens), got 7"));
  EXPECT_THAT(Problem(Shard({20240520, 1, -1}, {})), HasSubstr("byte 8: the header promises -1 tokens"));
  EXPECT_THAT(Problem(Shard({20240520, 1, std::numeric_limits<int32_t>::max()}, {1})),
              HasSubstr("byte 8: the header promises 2147483647 tokens"));
}

TEST(TokenShard, TokensThatDoNotFitAreRefused) {
  const std::string path = (std::filesystem::path(::testing::TempDir()) / "token_shard_bad.bin").string();
  const absl::Status status = WriteTokenShard(path, std::vector<int32_t>{1, 65536});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("token 2 is 65536"));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(WriteTokenShard("/no/such/folder/x.bin", std::vector<int32_t>{1}).ok());
}

}  // namespace
}  // namespace lockstep
