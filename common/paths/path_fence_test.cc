#include "common/paths/path_fence.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/time/clock.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class PathFenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "lockstep-fence-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    top_ = fs::canonical(name).string();
    for (const char* folder : {"/in", "/in/deep", "/other", "/out", "/inside"})
      fs::create_directory(top_ + folder);
    for (const char* file : {"/in/a.csv", "/in/deep/b.csv", "/in/%2e%2e", "/in/..\\x", "/other/c.csv",
                             "/out/secret", "/inside/d.csv"}) {
      std::ofstream(top_ + file) << file;
    }
    fs::create_symlink("deep/b.csv", top_ + "/in/stays");
    fs::create_symlink("../out/secret", top_ + "/in/leaves");
    fs::create_symlink(top_ + "/in/a.csv", top_ + "/in/absolute");
    fs::create_symlink("../out", top_ + "/in/away");
    fs::create_symlink("/proc/self/root", top_ + "/in/magic");
    fs::create_symlink("loop", top_ + "/in/loop");
    fs::create_symlink("in", top_ + "/alias");
    const auto fence = PathFence::Around({top_ + "/in", top_ + "/other/"}, "--data-root");
    ASSERT_TRUE(fence.ok()) << fence.status();
    fence_ = *fence;
  }
  void TearDown() override {
    SetReadFence({});
    fs::remove_all(top_);
  }

  std::string Read(const std::string& path) const {
    const int fd = fence_.Open(path, O_RDONLY);
    if (fd < 0) return std::strerror(errno);
    char bytes[64] = {};
    (void)!::read(fd, bytes, sizeof bytes - 1);
    ::close(fd);
    return bytes;
  }

  std::string top_;
  PathFence fence_;
};

TEST_F(PathFenceTest, WhatLiesInsideIsOpened) {
  for (const char* path : {"/in/a.csv", "/in//deep/./b.csv", "/other/c.csv", "/in/%2e%2e", "/in/..\\x"}) {
    EXPECT_EQ(fence_.Check("dataset.path", top_ + path), absl::OkStatus()) << path;
    EXPECT_THAT(Read(top_ + path), HasSubstr("/")) << path;
  }
  EXPECT_EQ(Read(top_ + "/in/stays"), "/in/deep/b.csv");
  EXPECT_EQ(fence_.Check("dataset.path", top_ + "/in"), absl::OkStatus());
  EXPECT_EQ(fence_.folders(), top_ + "/in, " + top_ + "/other");
}

TEST_F(PathFenceTest, WhatLeadsOutIsRefusedByFieldValueAndFolder) {
  const struct {
    std::string path;
    absl::StatusCode code;
    const char* why;
  } cases[] = {
      {"/out/secret", absl::StatusCode::kPermissionDenied, "outside"},
      {"/inside/d.csv", absl::StatusCode::kPermissionDenied, "outside"},
      {"/in/leaves", absl::StatusCode::kPermissionDenied, "link leads out"},
      {"/in/absolute", absl::StatusCode::kPermissionDenied, "link leads out"},
      {"/in/away/secret", absl::StatusCode::kPermissionDenied, "link leads out"},
      {"/in/away/absent", absl::StatusCode::kPermissionDenied, "link leads out"},
      {"/in/magic/etc/passwd", absl::StatusCode::kPermissionDenied, "link leads out"},
      {"/in/loop", absl::StatusCode::kPermissionDenied, "link leads out"},
      {"/in/../out/secret", absl::StatusCode::kInvalidArgument, "'..'"},
      {"/in/deep/../a.csv", absl::StatusCode::kInvalidArgument, "'..'"},
      {"/in/%2e%2e%2fout%2fsecret", absl::StatusCode::kNotFound, "decoded"},
      {"/in/%2e%2e/out/secret", absl::StatusCode::kNotFound, "decoded"},
      {"/in/..\\out\\secret", absl::StatusCode::kNotFound, "decoded"},
      {"/in/a.csv/x", absl::StatusCode::kNotFound, "decoded"},
  };
  for (const auto& one : cases) {
    const absl::Status status = fence_.Check("from.safetensors", top_ + one.path);
    EXPECT_EQ(status.code(), one.code) << one.path << ": " << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("from.safetensors: '"), HasSubstr(one.why),
                      HasSubstr("--data-root " + top_ + "/in, " + top_ + "/other")))
        << one.path;
    EXPECT_LT(fence_.Open(top_ + one.path, O_RDONLY), 0) << one.path;
  }
  EXPECT_EQ(fence_.Check("dataset.path", "/etc/passwd").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(fence_.Check("dataset.path", "/").code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(PathFenceTest, WhatIsNoPathIsRefusedWithoutAFenceAsWell) {
  for (const std::string& path : {std::string("/in/a\0.csv", 10), std::string("/in/a\n"),
                                  "/" + std::string(300, 'x'), "/" + std::string(5000, '/')}) {
    for (const PathFence& fence : {fence_, PathFence()}) {
      const absl::Status status = fence.Check("dataset.labels", path);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_LT(status.message().size(), 1000u);
    }
  }
  EXPECT_EQ(PathFence().Check("dataset.path", top_ + "/in/../out/secret"), absl::OkStatus());
}

TEST_F(PathFenceTest, AFolderMayBeNamedByALink) {
  const auto fence = PathFence::Around({top_ + "/alias"}, "--data-root");
  ASSERT_TRUE(fence.ok());
  EXPECT_EQ(fence->Check("dataset.path", top_ + "/alias/a.csv"), absl::OkStatus());
  EXPECT_EQ(fence->Check("dataset.path", top_ + "/in/a.csv"), absl::OkStatus());
  EXPECT_FALSE(fence->Check("dataset.path", top_ + "/alias/leaves").ok());
}

TEST_F(PathFenceTest, OfAPatternTheFoldersBeforeItAreLookedAt) {
  EXPECT_EQ(fence_.Check("dataset.path", top_ + "/in/*.csv", true), absl::OkStatus());
  EXPECT_EQ(fence_.Check("dataset.path", top_ + "/in/d*/b.csv", true), absl::OkStatus());
  for (const char* path : {"/*/a.csv", "/in/away/*", "/out/sec*", "/in/*/../../out/secret"}) {
    EXPECT_FALSE(fence_.Check("dataset.path", top_ + path, true).ok()) << path;
  }
  EXPECT_FALSE(fence_.Check("dataset.path", "/*", true).ok());
}

TEST_F(PathFenceTest, TheRootFolderIsNoFenceAndAnAbsentOneIsNamed) {
  const auto everywhere = PathFence::Around({top_ + "/in", "/"}, "--data-root");
  ASSERT_TRUE(everywhere.ok());
  EXPECT_FALSE(everywhere->fenced());
  EXPECT_EQ(everywhere->Check("dataset.path", "/etc/passwd"), absl::OkStatus());
  const auto absent = PathFence::Around({top_ + "/absent"}, "--data-root");
  EXPECT_EQ(absent.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(absent.status().message()), HasSubstr("--data-root " + top_ + "/absent"));
}

TEST_F(PathFenceTest, ALinkThatIsSwappedWhileItIsOpenedNeverLeadsOut) {
  std::atomic<bool> done = false;
  std::thread swaps([&] {
    while (!done) {
      for (const char* target : {"deep/b.csv", "../out/secret"}) {
        fs::remove(top_ + "/in/next");
        fs::create_symlink(target, top_ + "/in/next");
        fs::rename(top_ + "/in/next", top_ + "/in/swapped");
      }
    }
  });
  int inside = 0;
  const absl::Time give_up = absl::Now() + absl::Minutes(2);
  // The other thread may not have had its turn yet, or have been stopped where the link leads out.
  for (int i = 0; i < 5000 || (inside == 0 && absl::Now() < give_up); ++i) {
    const std::string text = Read(top_ + "/in/swapped");
    EXPECT_NE(text, "/out/secret");
    inside += text == "/in/deep/b.csv";
  }
  done = true;
  swaps.join();
  EXPECT_GT(inside, 0);
}

TEST_F(PathFenceTest, ANamedFileIsRegularSmallAndInside) {
  SetReadFence(fence_);
  EXPECT_EQ(*ReadNamedFile(top_ + "/in/a.csv", 100), "/in/a.csv");
  EXPECT_EQ(ReadNamedFile(top_ + "/in/a.csv", 3).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadNamedFile(top_ + "/in/leaves", 100).status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ReadNamedFile(top_ + "/in/absent", 100).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadNamedFile(top_ + "/in/deep", 100).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(::mkfifo((top_ + "/in/fifo").c_str(), 0600), 0);
  EXPECT_EQ(ReadNamedFile(top_ + "/in/fifo", 100).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace lockstep
