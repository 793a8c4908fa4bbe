// What a full disk, a failing call and a crash at any call leave behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/faulty_disk.h"

namespace lockstep::checkpoint_fault_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CheckpointFaultTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/lockstep_fault_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    directory_ = root_ + "/checkpoints";
  }
  void TearDown() override { fs::remove_all(root_); }

  CheckpointContent Content(int64_t step, float value) {
    weights_.assign(5000, value);
    CheckpointContent content;
    content.manifest.step = step;
    content.model = {{"w", DType::kF32, {5000}, weights_.data()}};
    content.optimizer = content.model;
    content.files = {{"spec.yaml", "name: x\n"}};
    return content;
  }
  void MustWrite(int64_t step, float value) {
    const auto info = WriteCheckpoint(directory_, Content(step, value));
    ASSERT_TRUE(info.ok()) << info.status();
  }
  float ValueAt(const std::string& path) {
    const auto opened = OpenCheckpoint(path);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? static_cast<const float*>(opened->model.Find("w")->data)[4999] : -1;
  }
  std::set<std::string> Names() {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_)) names.insert(entry.path().filename());
    return names;
  }
  std::string Path(int64_t step) { return absl::StrFormat("%s/step-%012d", directory_, step); }

  std::string root_, directory_;
  std::vector<float> weights_;
};

TEST_F(CheckpointFaultTest, EachFileIsDurableBeforeTheManifestAndTheManifestBeforeTheName) {
  MustWrite(1, 1);
  FaultyDisk disk;
  MustWrite(2, 2);
  const std::vector<std::string> expected = {"mkdir .tmp-step-000000000002",
                                             "open model.safetensors",
                                             "write model.safetensors",
                                             "write model.safetensors",
                                             "fsync model.safetensors",
                                             "close model.safetensors",
                                             "open optimizer-00000-of-00001.safetensors",
                                             "write optimizer-00000-of-00001.safetensors",
                                             "write optimizer-00000-of-00001.safetensors",
                                             "fsync optimizer-00000-of-00001.safetensors",
                                             "close optimizer-00000-of-00001.safetensors",
                                             "open spec.yaml",
                                             "write spec.yaml",
                                             "fsync spec.yaml",
                                             "close spec.yaml",
                                             "open manifest.json",
                                             "write manifest.json",
                                             "fsync manifest.json",
                                             "close manifest.json",
                                             "fsync .tmp-step-000000000002",
                                             "rename step-000000000002",
                                             "fsync checkpoints"};
  EXPECT_EQ(disk.calls, expected);
}

TEST_F(CheckpointFaultTest, ShortWritesAreContinued) {
  FaultyDisk disk;
  disk.write_limit = 7;
  MustWrite(1, 3);
  EXPECT_GT(disk.calls.size(), 5000u);
  EXPECT_EQ(ValueAt(Path(1)), 3);
}

// Step 2 is new in one run and replaces an equal step in the other.
class CheckpointEveryCallTest : public CheckpointFaultTest, public testing::WithParamInterface<bool> {
 protected:
  int CallsOfOneWrite() {
    FaultyDisk disk;
    MustWrite(2, 2);
    return static_cast<int>(disk.calls.size());
  }
  void Reset() {
    fs::remove_all(directory_);
    MustWrite(1, 1);
    if (GetParam()) MustWrite(2, 1.5f);
  }
};
INSTANTIATE_TEST_SUITE_P(Replacing, CheckpointEveryCallTest, testing::Bool());

TEST_P(CheckpointEveryCallTest, AFailingCallLeavesWhatWasThereAndNoTemporaryFolder) {
  Reset();
  const int calls = CallsOfOneWrite();
  for (const auto& [error, code] : {std::pair{ENOSPC, absl::StatusCode::kResourceExhausted},
                                    std::pair{EDQUOT, absl::StatusCode::kResourceExhausted},
                                    std::pair{EIO, absl::StatusCode::kInternal}}) {
    for (int at = 0; at < calls; ++at) {
      Reset();
      const std::set<std::string> before = Names();
      absl::Status status;
      std::string call;
      {
        FaultyDisk disk;
        disk.fail_at = at;
        disk.error = error;
        status = WriteCheckpoint(directory_, Content(2, 2)).status();
        call = disk.calls[at];
      }
      // Failing to remove the replaced one is no failure of the write; a leftover is swept by retention.
      if (absl::StartsWith(call, "unlink") || absl::StartsWith(call, "rmdir")) {
        EXPECT_TRUE(status.ok()) << call << ": " << status;
        EXPECT_EQ(ValueAt(Path(2)), 2);
        continue;
      }
      EXPECT_EQ(status.code(), code) << call << ": " << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr(call.substr(0, call.find(' '))));
      EXPECT_EQ(Names(), before) << call;
      EXPECT_EQ(ValueAt(Path(1)), 1);
      if (GetParam()) {
        EXPECT_EQ(ValueAt(Path(2)), 1.5f) << call;
      }
    }
  }
}

TEST_P(CheckpointEveryCallTest, ACrashBeforeAnyCallLeavesTheNewestWholeCheckpointLoadable) {
  Reset();
  const int calls = CallsOfOneWrite();
  int new_ones = 0;
  for (int at = 0; at <= calls; ++at) {
    Reset();
    const CheckpointContent content = Content(2, 2);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      FaultyDisk disk;
      disk.kill_at = at;
      _exit(WriteCheckpoint(directory_, content).ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(at < calls ? WIFSIGNALED(status) : WIFEXITED(status)) << at;
    std::vector<std::string> skipped;
    const auto newest = NewestWhole(directory_, &skipped);
    ASSERT_TRUE(newest.ok()) << at << ": " << newest.status();
    EXPECT_TRUE(skipped.empty()) << at << ": a real name held a part: " << skipped[0];
    const float value = ValueAt(newest->path);
    if (value != 2) {
      EXPECT_EQ(value, GetParam() ? 1.5f : 1.0f) << at;
    }
    new_ones += value == 2;
    // The next write and the sweep go on from any of these states.
    ASSERT_TRUE(WriteCheckpoint(directory_, Content(3, 3)).ok()) << at;
    ASSERT_TRUE(ApplyRetention(directory_, 1).ok()) << at;
    EXPECT_EQ(Names(), std::set<std::string>{"step-000000000003"}) << at;
  }
  EXPECT_GE(new_ones, 2);
  EXPECT_LT(new_ones, calls);
}

TEST_F(CheckpointFaultTest, ACrashInRetentionLeavesOnlyWholeNames) {
  for (int at = 0; at < 12; ++at) {
    fs::remove_all(directory_);
    for (const int step : {1, 2, 3}) MustWrite(step, static_cast<float>(step));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      FaultyDisk disk;
      disk.kill_at = at;
      _exit(ApplyRetention(directory_, 1).ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    std::vector<std::pair<std::string, std::string>> broken;
    ASSERT_TRUE(ListCheckpoints(directory_, &broken).ok());
    EXPECT_TRUE(broken.empty()) << at << ": " << broken[0].second;
    ASSERT_TRUE(ApplyRetention(directory_, 1).ok());
    EXPECT_EQ(Names(), std::set<std::string>{"step-000000000003"}) << at;
  }
}

TEST_F(CheckpointFaultTest, AFileSizeLimitIsADiskFull) {
  MustWrite(1, 1);
  const CheckpointContent content = Content(2, 2);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {10'000, 10'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(WriteCheckpoint(directory_, content).status().code() == absl::StatusCode::kResourceExhausted ? 0
                                                                                                       : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(Names(), std::set<std::string>{"step-000000000001"});
  EXPECT_EQ(ValueAt(Path(1)), 1);
}

TEST_F(CheckpointFaultTest, ARealFullDiskLeavesThePreviousCheckpoint) {
  fs::create_directory(directory_);
  if (mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=100k") != 0) {
    GTEST_SKIP() << "needs the right to mount a small tmpfs";
  }
  int written = 0;
  absl::Status status;
  while (written < 10 && (status = WriteCheckpoint(directory_, Content(written + 1, 1)).status()).ok())
    ++written;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_GE(written, 1);
  EXPECT_LT(written, 10);
  EXPECT_EQ(static_cast<int>(Names().size()), written) << "a temporary folder stays behind";
  const auto newest = NewestWhole(directory_, nullptr);
  EXPECT_TRUE(newest.ok() && newest->manifest.step == written) << newest.status();
  ASSERT_TRUE(ApplyRetention(directory_, 1).ok());
  umount(directory_.c_str());
}

}  // namespace
}  // namespace lockstep::checkpoint_fault_test
