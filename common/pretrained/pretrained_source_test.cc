#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/checkpoint/safetensors.h"
#include "common/pretrained/import.h"
#include "common/pretrained/source.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

class PretrainedSourceTest : public testing::Test {
 protected:
  PretrainedSourceTest() : folder_(fs::path(testing::TempDir()) / "pretrained_source") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~PretrainedSourceTest() override { fs::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return (folder_ / name).string();
  }
  std::string WriteTensor(const std::string& file, const std::string& tensor) const {
    const float value = 3;
    EXPECT_TRUE(WriteSafetensors((folder_ / file).string(), {{tensor, DType::kF32, {1}, &value}}, {}).ok());
    return (folder_ / file).string();
  }
  void WriteIndex(const std::string& text) const { Write("model.safetensors.index.json", text); }
  static std::string Refusal(const std::string& path) {
    return std::string(FindPretrained(path).status().message());
  }

  const fs::path folder_;
};

TEST_F(PretrainedSourceTest, ShardsOfAnIndexAreNotJoined) {
  WriteTensor("model-1.safetensors", "a");
  WriteTensor("model-2.safetensors", "b");
  WriteIndex(R"({"metadata":{},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  float a = 0, b = 0;
  PretrainedOptions options;
  options.path = folder_.string() + "/";
  const auto fresh = ImportPretrained(options, {{"a", {1}, &a}, {"b", {1}, &b}});
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_EQ(a + b, 6);
}

TEST_F(PretrainedSourceTest, AbsentShardIsNotNamed) {
  WriteTensor("model-1.safetensors", "a");
  WriteIndex(R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  EXPECT_THAT(Refusal(folder_),
              AllOf(HasSubstr("lists 2 files, of which 1 are not there (model-2.safetensors)"),
                    HasSubstr("is the download complete?")));
}

TEST_F(PretrainedSourceTest, IndexThatLeavesItsFolderIsFollowed) {
  WriteIndex(R"({"weight_map":{"a":"../secret.safetensors"}})");
  EXPECT_THAT(Refusal(folder_), HasSubstr("the file of a is not a name in this folder"));
  for (const char* broken : {"[]", "{}", R"({"weight_map":{}})", R"({"weight_map":{"a":1}})", "{"}) {
    WriteIndex(broken);
    EXPECT_EQ(FindPretrained(folder_).status().code(), absl::StatusCode::kInvalidArgument) << broken;
  }
}

TEST_F(PretrainedSourceTest, TensorInTwoShardsIsTakenFromOne) {
  WriteTensor("model-1.safetensors", "a");
  WriteTensor("model-2.safetensors", "a");
  WriteIndex(R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  float a = 0;
  PretrainedOptions options;
  options.path = folder_;
  EXPECT_THAT(std::string(ImportPretrained(options, {{"a", {1}, &a}}).status().message()),
              HasSubstr("repeats the tensor a"));
}

TEST_F(PretrainedSourceTest, LinksOfHuggingFacesCacheAreRefused) {
  fs::create_directories(folder_ / "blobs");
  WriteTensor("blobs/0123abcd", "a");
  fs::create_directories(folder_ / "snapshot");
  fs::create_symlink("../blobs/0123abcd", folder_ / "snapshot" / "model.safetensors");
  float a = 0;
  PretrainedOptions options;
  options.path = (folder_ / "snapshot").string();
  EXPECT_TRUE(ImportPretrained(options, {{"a", {1}, &a}}).ok());
  EXPECT_EQ(a, 3);
}

TEST_F(PretrainedSourceTest, WrongPathNamesNothingNear) {
  WriteTensor("model.safetensors", "a");
  const absl::Status status = FindPretrained((folder_ / "modle.safetensors").string()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("Did you mean " + (folder_ / "model.safetensors").string()));
}

TEST_F(PretrainedSourceTest, OtherFormatIsNotTold) {
  const struct {
    std::string name, bytes, said;
  } cases[] = {
      {"pytorch_model.bin", "PK\x03\x04zip", "PyTorch pickle"},
      {"old.pt", "\x80\x02}q", "PyTorch pickle"},
      {"model.gguf", "GGUF\x03", "GGUF"},
      {"model.safetensors", "version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"},
      {"model.safetensors.index.json", "{}", "name the folder that holds it"},
  };
  for (const auto& other : cases) {
    EXPECT_THAT(Refusal(Write(other.name, other.bytes)), AllOf(HasSubstr(other.name), HasSubstr(other.said)));
  }
}

TEST_F(PretrainedSourceTest, FolderWithoutAModelIsNotDescribed) {
  Write("pytorch_model.bin", "PK\x03\x04");
  EXPECT_THAT(Refusal(folder_),
              AllOf(HasSubstr("holds neither model.safetensors"), HasSubstr("save_pretrained")));
  WriteTensor("weights.safetensors", "a");
  EXPECT_THAT(Refusal(folder_), EndsWith("name one of its files: weights.safetensors"));
}

TEST_F(PretrainedSourceTest, ConfigBesideTheFileIsOverlooked) {
  const std::string file = WriteTensor("model.safetensors", "a");
  EXPECT_EQ(FindPretrained(file)->config, "");
  const std::string config = Write("config.json", "{}");
  EXPECT_EQ(FindPretrained(file)->config, config);
  EXPECT_EQ(FindPretrained(folder_)->config, config);
}

}  // namespace
}  // namespace lockstep
