#include "coordinator/daemon/data_roots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/paths/path_fence.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DataRootsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "roots-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    top_ = fs::canonical(name).string();
    fs::create_directories(top_ + "/data");
    std::ofstream(top_ + "/data/rows.csv") << "a,b\n1,2\n";
    flags_.data_dir = top_ + "/state";
    flags_.artifact_root = flags_.data_dir + "/artifacts";
  }
  void TearDown() override {
    SetReadFence({});
    fs::remove_all(top_);
  }
  static absl::Status May(const std::string& path) { return ReadFence().Check("dataset.path", path); }

  std::string top_;
  CoordinatorFlags flags_;
};

TEST_F(DataRootsTest, OnLoopbackWithoutTokensThereIsNoFence) {
  ASSERT_EQ(FenceReads(flags_), absl::OkStatus());
  EXPECT_FALSE(ReadFence().fenced());
  EXPECT_FALSE(fs::exists(flags_.data_dir));
}

TEST_F(DataRootsTest, WithTokensOrOffLoopbackTheStateFolderHasThemOnly) {
  for (const bool tokens : {true, false}) {
    flags_.auth = tokens;
    flags_.listen = tokens ? "127.0.0.1:0" : "10.0.9.1:0";
    ASSERT_EQ(FenceReads(flags_), absl::OkStatus());
    std::ofstream(flags_.data_dir + "/admin.token") << "secret";
    std::ofstream(flags_.data_dir + "/datasets/in.csv") << "a\n1\n";
    EXPECT_EQ(May(flags_.data_dir + "/datasets/in.csv"), absl::OkStatus());
    EXPECT_EQ(May(flags_.artifact_root), absl::OkStatus());
    EXPECT_TRUE(absl::IsPermissionDenied(May(flags_.data_dir + "/admin.token")));
    EXPECT_TRUE(absl::IsPermissionDenied(May(top_ + "/data/rows.csv")));
  }
}

TEST_F(DataRootsTest, FoldersThatAreGivenHoldAnywhere) {
  flags_.data_roots = {top_ + "/data"};
  ASSERT_EQ(FenceReads(flags_), absl::OkStatus());
  EXPECT_EQ(May(top_ + "/data/rows.csv"), absl::OkStatus());
  EXPECT_TRUE(absl::IsPermissionDenied(May(flags_.data_dir + "/datasets/in.csv")));
  EXPECT_TRUE(absl::IsPermissionDenied(May("/etc/passwd")));
}

TEST_F(DataRootsTest, AFolderThatHoldsTheTokensIsRefused) {
  flags_.auth = true;
  fs::create_directory_symlink(top_, top_ + "/data/around");
  for (const std::string& root : {top_, std::string("/"), flags_.data_dir, top_ + "/data/around"}) {
    flags_.data_roots = {top_ + "/data", root};
    const absl::Status status = FenceReads(flags_);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << root;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--data-root " + root));
  }
  flags_.auth = false;
  EXPECT_EQ(FenceReads(flags_), absl::OkStatus());
}

}  // namespace
}  // namespace lockstep
