// Every field of a spec that names a file, with every way out of a root: none is opened, each is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "common/base/clock.h"
#include "common/paths/path_fence.h"
#include "coordinator/datasets/registry.h"
#include "coordinator/jobs/restore.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class NoStore : public DatasetStore {
 public:
  absl::StatusOr<std::vector<v1::Dataset>> LoadDatasets() override { return std::vector<v1::Dataset>(); }
  absl::Status SaveDataset(const v1::Dataset&) override { return absl::OkStatus(); }
};

class NamedPathsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "named-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    top_ = fs::canonical(name).string();
    root_ = top_ + "/root";
    fs::create_directories(root_ + "/tokenizer");
    for (const char* file : {"/root/rows.csv", "/secret.csv", "/vocab.json", "/merges.txt"}) {
      std::ofstream(top_ + file) << "a,b\n1,x\n2,y\n3,x\n4,y\n";
    }
    fs::create_symlink("../secret.csv", root_ + "/leaves.csv");
    fs::create_symlink("..", root_ + "/away");
    fs::create_symlink("/proc/self/root", root_ + "/magic");
    const auto fence = PathFence::Around({root_}, "--data-root");
    ASSERT_TRUE(fence.ok()) << fence.status();
    SetReadFence(*fence);
  }
  void TearDown() override {
    SetReadFence({});
    fs::remove_all(top_);
  }

  std::vector<std::string> WaysOut() const {
    return {root_ + "/../secret.csv",
            root_ + "/leaves.csv",
            root_ + "/away/secret.csv",
            root_ + "/away",
            root_ + "/magic/etc/passwd",
            root_ + "/%2e%2e%2fsecret.csv",
            root_ + "/%2e%2e/secret.csv",
            root_ + "/..\\secret.csv",
            top_ + "/secret.csv",
            "/etc/passwd",
            "/",
            "../secret.csv",
            "secret.csv",
            root_ + std::string("/rows.csv\0.png", 14),
            root_ + "/rows.csv\n",
            root_ + "/" + std::string(300, 'x'),
            "/" + std::string(8000, '/')};
  }

  std::string top_, root_;
  NoStore store_;
  SystemClock clock_;
  DatasetRegistry registry_{&store_, &clock_};
};

TEST_F(NamedPathsTest, NoFieldLeadsOut) {
  const auto registered = [this](const v1::JobSpec& spec) {
    return registry_.Register("", spec.dataset()).status();
  };
  const auto resolved = [this](const v1::JobSpec& spec) {
    return ResolveSource(top_ + "/artifacts", nullptr, spec, "default", {}).status();
  };
  const struct {
    const char* field;
    std::function<void(v1::JobSpec*, const std::string&)> set;
    std::function<absl::Status(const v1::JobSpec&)> use;
  } fields[] = {
      {"dataset.path",
       [](v1::JobSpec* spec, const std::string& path) { spec->mutable_dataset()->set_path(path); },
       registered},
      {"dataset.labels",
       [](v1::JobSpec* spec, const std::string& path) { spec->mutable_dataset()->set_labels(path); },
       registered},
      {"dataset.text.tokenizer.bpe.path",
       [](v1::JobSpec* spec, const std::string& path) {
         spec->mutable_dataset()->mutable_text()->mutable_tokenizer()->mutable_bpe()->set_path(path);
       },
       registered},
      {"from.path", [](v1::JobSpec* spec, const std::string& path) { spec->mutable_from()->set_path(path); },
       resolved},
      {"from.safetensors",
       [](v1::JobSpec* spec, const std::string& path) { spec->mutable_from()->set_safetensors(path); },
       resolved},
  };
  for (const auto& field : fields) {
    for (const std::string& path : WaysOut()) {
      v1::JobSpec spec;
      spec.mutable_dataset()->set_path(root_ + "/rows.csv");
      field.set(&spec, path);
      const absl::Status status = field.use(spec);
      EXPECT_THAT(status.code(), AnyOf(absl::StatusCode::kPermissionDenied,
                                       absl::StatusCode::kInvalidArgument, absl::StatusCode::kNotFound))
          << field.field << " " << path;
      EXPECT_THAT(std::string(status.message()), HasSubstr(field.field)) << path;
      EXPECT_LT(status.message().size(), 1500u);
    }
  }
}

TEST_F(NamedPathsTest, PatternsAndFoldersFindNothingOutside) {
  v1::DatasetSpec spec;
  for (const char* path : {"/*.csv", "/away/*.csv", "/a*/secret.csv", "/leaves*"}) {
    spec.set_path(root_ + path);
    const absl::Status status = registry_.Register("", spec).status();
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << path << ": " << status;
  }
  fs::create_symlink("../../secret.csv", root_ + "/tokenizer/text.txt");
  spec.set_path(root_ + "/tokenizer");
  EXPECT_TRUE(absl::IsPermissionDenied(registry_.Register("", spec).status()));
}

TEST_F(NamedPathsTest, WhatIsInsideIsRead) {
  v1::DatasetSpec spec;
  spec.set_path(root_ + "/rows.csv");
  spec.set_label("b");
  const auto registered = registry_.Register("", spec);
  ASSERT_TRUE(registered.ok()) << registered.status();
  EXPECT_TRUE(registry_.OpenShard("rows", 0, 0, 1).ok());
  // A file that was registered, and is a way out now.
  fs::remove(root_ + "/rows.csv");
  fs::create_symlink("../secret.csv", root_ + "/rows.csv");
  EXPECT_FALSE(registry_.OpenShard("rows", 0, 0, 1).ok());
}

}  // namespace
}  // namespace lockstep
