#include "common/checkpoint/checkpoint_parts.h"

#include <stdlib.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/durable_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

class CheckpointPartsTest : public testing::Test {
 protected:
  CheckpointPartsTest() {
    char name[] = "/tmp/checkpoint-parts-XXXXXX";
    place_ = {mkdtemp(name), 12, "g3"};
    content_.manifest.step = 12;
    content_.model = Tensors("w");
    content_.optimizer = Tensors("m");
    content_.files = {{"spec.yaml", "x: 1"}};
  }
  ~CheckpointPartsTest() override {
    SetDiskHookForTest(nullptr);
    std::filesystem::remove_all(place_.directory);
  }

  std::vector<TensorView> Tensors(const std::string& name) const { return {{name, DType::kF32, {4}, data_}}; }
  std::string temporary() const { return absl::StrCat(place_.directory, "/.tmp-step-000000000012-g3"); }

  const float data_[4] = {1, 2, 3, 4};
  CheckpointPlace place_;
  CheckpointContent content_;
};

TEST_F(CheckpointPartsTest, MakeAWholeInAnyOrder) {
  ASSERT_TRUE(WriteCheckpointPart(place_, 2, 3, Tensors("c")).ok());
  auto lead = LeadCheckpoint::Write(place_, content_, 3);
  ASSERT_TRUE(lead.ok()) << lead.status();
  EXPECT_EQ(*lead->Missing(), 1);
  ASSERT_TRUE(WriteCheckpointPart(place_, 1, 3, Tensors("b")).ok());
  EXPECT_EQ(*lead->Missing(), 0);
  const auto info = lead->Commit();
  ASSERT_TRUE(info.ok()) << info.status();
  const auto opened = OpenCheckpoint(info->path);
  ASSERT_TRUE(opened.ok()) << opened.status();
  ASSERT_EQ(opened->optimizer.size(), 3u);
  EXPECT_NE(opened->optimizer[0].Find("m"), nullptr);
  EXPECT_NE(opened->optimizer[1].Find("b"), nullptr);
  EXPECT_NE(opened->optimizer[2].Find("c"), nullptr);
  EXPECT_FALSE(std::filesystem::exists(temporary()));
  for (const auto& entry : std::filesystem::directory_iterator(info->path)) {
    EXPECT_NE(entry.path().filename().string().front(), '.') << "a note stayed: " << entry.path();
  }
}

TEST_F(CheckpointPartsTest, ALeadMayHaveNoPart) {
  content_.optimizer.clear();
  ASSERT_TRUE(WriteCheckpointPart(place_, 0, 1, Tensors("b")).ok());
  auto lead = LeadCheckpoint::Write(place_, content_, 1);
  EXPECT_EQ(*lead->Missing(), 0);
  EXPECT_EQ(OpenCheckpoint(lead->Commit()->path)->optimizer.size(), 1u);
}

TEST_F(CheckpointPartsTest, PartsOfAnotherAttemptDoNotCount) {
  ASSERT_TRUE(WriteCheckpointPart({place_.directory, 12, "g2"}, 1, 2, Tensors("b")).ok());
  ASSERT_TRUE(WriteCheckpointPart(place_, 1, 3, Tensors("b")).ok());  // of another number of parts
  auto lead = LeadCheckpoint::Write(place_, content_, 2);
  EXPECT_EQ(*lead->Missing(), 1);
  lead->Abandon();
  EXPECT_FALSE(std::filesystem::exists(temporary()));
}

TEST_F(CheckpointPartsTest, WhatWentWrongWithAPartReachesTheLead) {
  class Full : public DiskHook {
    int Before(absl::string_view call, const std::string& path) override {
      return call == "write" && path.ends_with("00001-of-00002.safetensors") ? ENOSPC : 0;
    }
  } full;
  SetDiskHookForTest(&full);
  EXPECT_TRUE(absl::IsResourceExhausted(WriteCheckpointPart(place_, 1, 2, Tensors("b"))));
  auto lead = LeadCheckpoint::Write(place_, content_, 2);
  ASSERT_TRUE(lead.ok());
  const auto missing = lead->Missing();
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(std::string(missing.status().message()),
              AllOf(HasSubstr("optimizer-00001-of-00002"), HasSubstr("could not be written by its rank"),
                    HasSubstr("free space")));
}

TEST_F(CheckpointPartsTest, ATornPartIsRefused) {
  ASSERT_TRUE(WriteCheckpointPart(place_, 1, 2, Tensors("b")).ok());
  std::filesystem::resize_file(absl::StrCat(temporary(), "/optimizer-00001-of-00002.safetensors"), 10);
  auto lead = LeadCheckpoint::Write(place_, content_, 2);
  EXPECT_TRUE(absl::IsDataLoss(lead->Missing().status()));
}

// Each of the lead's system calls in turn fails, and all after it: there is the old checkpoint or the new
// one.
TEST_F(CheckpointPartsTest, AnErrorFromAnyCallOnLeavesTheOldOneOrTheNewOne) {
  CheckpointContent before = content_;
  before.manifest.step = 11;
  ASSERT_TRUE(WriteCheckpoint(place_.directory, before).ok());
  class Stop : public DiskHook {
   public:
    int Before(absl::string_view, const std::string&) override { return left-- > 0 ? 0 : EIO; }
    int left = 0;
  } stop;
  bool committed = false;
  for (int calls = 0; !committed; ++calls) {
    ASSERT_LT(calls, 200);
    SetDiskHookForTest(nullptr);
    ASSERT_TRUE(WriteCheckpointPart(place_, 1, 2, Tensors("b")).ok());
    stop.left = calls;
    SetDiskHookForTest(&stop);
    auto lead = LeadCheckpoint::Write(place_, content_, 2);
    if (lead.ok() && *lead->Missing() == 0) committed = lead->Commit().ok();
    SetDiskHookForTest(nullptr);
    const auto newest = NewestWhole(place_.directory, nullptr);
    ASSERT_TRUE(newest.ok()) << newest.status();
    EXPECT_TRUE(newest->manifest.step == 12 || !committed);
  }
  EXPECT_EQ(OpenCheckpoint(NewestWhole(place_.directory, nullptr)->path)->optimizer.size(), 2u);
}

}  // namespace
}  // namespace lockstep
