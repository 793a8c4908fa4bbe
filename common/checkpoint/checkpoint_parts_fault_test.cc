// A checkpoint that three processes write, one of which is killed (SIGKILL) before each of its system calls
// in turn, and after its last.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/checkpoint_parts.h"
#include "common/checkpoint/faulty_disk.h"

namespace lockstep::checkpoint_parts_fault_test {
namespace {

namespace fs = std::filesystem;

constexpr int kParts = 3;
constexpr int64_t kFloats = 5000;
// Whole checkpoints by their values: before the write, of an equal step that it replaces, its own, of the
// next attempt.
constexpr float kOld = 1, kReplaced = 2, kNew = 3, kNext = 4;

class ShardedCrashTest : public testing::TestWithParam<std::tuple<int, bool, bool>> {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/lockstep_sharded_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    place_ = {root_ + "/checkpoints", 12, "g3"};
  }
  void TearDown() override { fs::remove_all(root_); }

  CheckpointContent Content(int64_t step, float value) {
    CheckpointContent content;
    content.manifest.step = step;
    content.model = content.optimizer = Tensors(value);
    content.files = {{"spec.yaml", "name: x\n"}};
    return content;
  }
  std::vector<TensorView> Tensors(float value) {
    values_.assign(kFloats, value);
    return {{"w", DType::kF32, {kFloats}, values_.data()}};
  }
  void Reset(bool replacing) {
    fs::remove_all(place_.directory);
    ASSERT_TRUE(WriteCheckpoint(place_.directory, Content(11, kOld)).ok());
    if (!replacing) return;
    ASSERT_TRUE(WriteCheckpoint(place_.directory, Content(12, kReplaced)).ok());
  }

  absl::Status WritePart(int rank) { return WriteCheckpointPart(place_, rank, kParts, Tensors(kNew)); }
  void WriteOtherParts(int victim) {
    for (int rank = 1; rank < kParts; ++rank) {
      if (rank == victim) continue;
      ASSERT_TRUE(WritePart(rank).ok()) << rank;
    }
  }
  absl::StatusOr<LeadCheckpoint> Lead() { return LeadCheckpoint::Write(place_, Content(12, kNew), kParts); }
  // Whether the checkpoint got its name; where a part is missing the lead gives up, as its rank does once a
  // peer was lost.
  static absl::StatusOr<bool> CommitIfWhole(LeadCheckpoint& lead) {
    ASSIGN_OR_RETURN(const int missing, lead.Missing());
    if (missing == 0) RETURN_IF_ERROR(lead.Commit().status());
    if (missing > 0) lead.Abandon();
    return missing == 0;
  }

  // `body` in a process of its own, which dies before its system call number `at`. False: it had fewer.
  bool DiesAt(int at, const std::function<bool()>& body) {
    const pid_t child = fork();
    if (child == 0) {
      FaultyDisk disk;
      disk.kill_at = at;
      disk.write_limit = 8192;  // so that it also dies inside a file
      _exit(body() ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    const bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    EXPECT_TRUE(died || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) << "call " << at << ": " << status;
    return died;
  }

  // The value that everything in the newest checkpoint has. A name that is given holds a whole one.
  std::optional<float> NewestValue() {
    std::vector<std::string> skipped;
    const auto newest = NewestWhole(place_.directory, &skipped);
    EXPECT_TRUE(newest.ok()) << newest.status();
    EXPECT_TRUE(skipped.empty()) << "a real name held a part: " << skipped[0];
    if (!newest.ok()) return std::nullopt;
    const auto opened = OpenCheckpoint(newest->path);
    EXPECT_TRUE(opened.ok()) << opened.status();
    if (!opened.ok()) return std::nullopt;
    std::set<float> found;
    const auto look = [&](const auto& file) {
      const auto* data = static_cast<const float*>(file.Find("w")->data);
      found.insert(data, data + kFloats);
    };
    look(opened->model);
    for (const auto& part : opened->optimizer) look(part);
    EXPECT_EQ(found.size(), 1u) << "parts of different checkpoints";
    EXPECT_EQ(opened->optimizer.size(), *found.begin() == kNew ? 3u : *found.begin() == kNext ? 2u : 1u);
    return *found.begin();
  }
  void TheNextAttemptOfThoseLeftSucceedsAndSweeps() {
    const CheckpointPlace next = {place_.directory, 12, "g4"};
    ASSERT_TRUE(WriteCheckpointPart(next, 1, 2, Tensors(kNext)).ok());
    auto lead = LeadCheckpoint::Write(next, Content(12, kNext), 2);
    ASSERT_TRUE(lead.ok()) << lead.status();
    const auto whole = CommitIfWhole(*lead);
    ASSERT_TRUE(whole.ok() && *whole) << whole.status();
    EXPECT_EQ(NewestValue(), kNext);
    ASSERT_TRUE(ApplyRetention(place_.directory, 1).ok());
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(place_.directory)) names.insert(entry.path().filename());
    EXPECT_EQ(names, std::set<std::string>{"step-000000000012"});
  }

  std::string root_;
  CheckpointPlace place_;
  std::vector<float> values_;
};
INSTANTIATE_TEST_SUITE_P(Victims, ShardedCrashTest,
                         testing::Combine(testing::Range(0, kParts), testing::Bool(), testing::Bool()),
                         [](const auto& test) {
                           return absl::StrCat("Rank", std::get<0>(test.param),
                                               std::get<1>(test.param) ? "Last" : "First",
                                               std::get<2>(test.param) ? "Replacing" : "");
                         });

TEST_P(ShardedCrashTest, AKillBeforeAnyCallLeavesTheNewestWholeCheckpointLoadable) {
  const auto [victim, last, replacing] = GetParam();
  const float before = replacing ? kReplaced : kOld;
  int kills = 0, new_ones = 0;
  for (bool died = true; died; kills += died) {
    ASSERT_LT(kills, 200);
    Reset(replacing);
    SCOPED_TRACE(absl::StrCat("killed before call ", kills));
    bool committed = false;
    if (victim > 0) {
      absl::StatusOr<LeadCheckpoint> lead = absl::UnavailableError("not begun");
      const auto others = [&] {
        ASSERT_TRUE((lead = Lead()).ok()) << lead.status();
        WriteOtherParts(victim);
      };
      if (last) others();
      died = DiesAt(kills, [&, rank = victim] { return WritePart(rank).ok(); });
      if (!last) others();
      const auto whole = CommitIfWhole(*lead);
      ASSERT_TRUE(whole.ok()) << whole.status();
      committed = *whole;
      EXPECT_TRUE(committed || died) << "a part that was written was not found";
      EXPECT_EQ(NewestValue(), committed ? kNew : before);
    } else if (last) {
      WriteOtherParts(victim);
      died = DiesAt(kills, [&] {
        auto lead = Lead();
        return lead.ok() && CommitIfWhole(*lead).value_or(false);
      });
      const std::optional<float> value = NewestValue();
      committed = value == kNew;
      EXPECT_TRUE(committed || (died && value == before)) << value.value_or(0);
    } else {  // it dies, at the latest, while it waits for parts; they are written all the same
      died = DiesAt(kills, [&] { return Lead().ok(); });
      WriteOtherParts(victim);
      EXPECT_EQ(NewestValue(), before);
    }
    new_ones += died && committed;
    TheNextAttemptOfThoseLeftSucceedsAndSweeps();
  }
  EXPECT_GT(kills, 8);
  // Once the note, or the folder, has its name only a last fsync, or the removal of the old one, can be cut
  // off.
  EXPECT_EQ(new_ones > 0, victim > 0 || last);
  EXPECT_LT(new_ones, kills / 2);
}

}  // namespace
}  // namespace lockstep::checkpoint_parts_fault_test
