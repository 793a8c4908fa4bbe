#include "coordinator/scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "coordinator/scheduler/profile.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::NumericProfile Profile(const std::string& instruction_set) {
  v1::NumericProfile profile;
  profile.set_device_kind("cpu");
  profile.set_instruction_set(instruction_set);
  profile.set_threads(1);
  return profile;
}

std::vector<SchedulerDevice> Node(const std::string& worker, int count,
                                  const std::string& isa = "avx512_core", bool free = true) {
  std::vector<SchedulerDevice> devices;
  for (int i = 0; i < count; ++i) devices.push_back({worker, absl::StrCat("cpu:", i), Profile(isa), free});
  return devices;
}

std::vector<SchedulerDevice> Join(std::vector<std::vector<SchedulerDevice>> nodes) {
  std::vector<SchedulerDevice> all;
  for (auto& node : nodes) all.insert(all.end(), node.begin(), node.end());
  return all;
}

SchedulerJob Job(const std::string& id, int min, int max, int priority = 0) {
  SchedulerJob job;
  job.id = id;
  job.min = min;
  job.max = max;
  job.priority = priority;
  return job;
}

std::vector<std::string> Started(const Decisions& decisions) {
  std::vector<std::string> out;
  for (const Placement& start : decisions.starts)
    out.push_back(absl::StrCat(start.job, "x", start.devices.size()));
  return out;
}

TEST(SchedulerTest, AJobTakesUpToItsMaximumAtStart) {
  EXPECT_THAT(Started(Schedule({Job("a", 1, 3)}, {}, Node("w", 4))), ElementsAre("ax3"));
  EXPECT_THAT(Started(Schedule({Job("a", 1, 9)}, {}, Node("w", 4))), ElementsAre("ax4"));
}

TEST(SchedulerTest, AJobNeverStartsBelowItsMinimum) {
  const auto devices = Join({Node("w1", 1), Node("w2", 2, "avx512_core", false)});
  const Decisions decisions = Schedule({Job("a", 2, 2)}, {}, devices);
  EXPECT_THAT(decisions.starts, IsEmpty());
  ASSERT_EQ(decisions.waits.size(), 1u);
  EXPECT_EQ(decisions.waits[0].reason, "waiting for 2 devices: 1 of 3 is free");
}

TEST(SchedulerTest, HigherPriorityGoesFirstThenTheOlder) {
  EXPECT_THAT(Started(Schedule({Job("a", 1, 1), Job("b", 1, 1), Job("c", 1, 1, 5)}, {}, Node("w", 2))),
              ElementsAre("cx1", "ax1"));
}

TEST(SchedulerTest, SeveralJobsGetDisjointDevices) {
  const Decisions decisions =
      Schedule({Job("a", 2, 2), Job("b", 2, 2)}, {}, Join({Node("w1", 3), Node("w2", 2)}));
  ASSERT_EQ(decisions.starts.size(), 2u);
  EXPECT_THAT(decisions.starts[0].devices, ElementsAre(3, 4));  // the tightest node
  EXPECT_THAT(decisions.starts[1].devices, ElementsAre(0, 1));
}

TEST(SchedulerTest, SmallLaterJobsDoNotStarveALargeOne) {
  const auto devices = Join({Node("w1", 1), Node("w2", 1, "avx512_core", false)});
  const Decisions decisions =
      Schedule({Job("large", 2, 2), Job("small", 1, 1, -1)}, {Job("r", 1, 2)}, devices);
  EXPECT_THAT(decisions.starts, IsEmpty());
  EXPECT_THAT(decisions.grows, IsEmpty());
  ASSERT_EQ(decisions.waits.size(), 2u);
  EXPECT_THAT(decisions.waits[1].reason, HasSubstr("kept for a job ahead in the queue"));
}

TEST(SchedulerTest, AWaitingJobLeavesOtherPoolsAlone) {
  const auto devices = Join({Node("w1", 1), Node("w2", 1, "avx512_core", false), Node("w3", 1, "avx2")});
  EXPECT_THAT(Started(Schedule({Job("large", 2, 2), Job("small", 1, 1)}, {}, devices)),
              ElementsAre("smallx1"));
}

TEST(SchedulerTest, AJobThatNoPoolCanHoldBlocksNobody) {
  const Decisions decisions = Schedule({Job("huge", 100, 100), Job("small", 1, 1)}, {}, Node("w", 2));
  EXPECT_THAT(Started(decisions), ElementsAre("smallx1"));
  ASSERT_EQ(decisions.waits.size(), 1u);
  EXPECT_THAT(decisions.waits[0].reason, HasSubstr("the ready workers have 2; start more workers"));
}

TEST(SchedulerTest, UnequalProfilesDoNotShareAReproducibleJob) {
  const auto devices = Join({Node("w1", 1), Node("w2", 1, "avx2")});
  const Decisions decisions = Schedule({Job("a", 2, 2)}, {}, devices);
  EXPECT_THAT(decisions.starts, IsEmpty());
  ASSERT_EQ(decisions.waits.size(), 1u);
  EXPECT_THAT(decisions.waits[0].reason, HasSubstr("one numeric profile"));
  EXPECT_THAT(decisions.waits[0].reason, HasSubstr("instruction_set is "));
  SchedulerJob loose = Job("a", 2, 2);
  loose.reproducible = false;
  EXPECT_THAT(Started(Schedule({loose}, {}, devices)), ElementsAre("ax2"));
}

TEST(SchedulerTest, GpusOfTwoModelsShareAReproducibleJob) {
  auto devices = Node("w1", 3);
  for (size_t i = 0; i < 2; ++i) {
    devices[i].profile.set_device_kind("gpu");
    devices[i].profile.set_device_model(i == 0 ? "NVIDIA H200" : "NVIDIA A100");
  }
  const Decisions decisions = Schedule({Job("a", 2, 2)}, {}, {devices[0], devices[1]});
  EXPECT_THAT(decisions.starts, IsEmpty());
  ASSERT_EQ(decisions.waits.size(), 1u);
  EXPECT_THAT(decisions.waits[0].reason, HasSubstr("NVIDIA H200"));
  EXPECT_THAT(decisions.waits[0].reason, HasSubstr("NVIDIA A100"));
  SchedulerJob loose = Job("a", 2, 2);
  loose.reproducible = false;
  EXPECT_THAT(Started(Schedule({loose}, {}, {devices[0], devices[1]})), ElementsAre("ax2"));
  // A GPU and a processor never sum together, whatever the job says; not even after a loss.
  EXPECT_THAT(Started(Schedule({loose}, {}, {devices[0], devices[2]})), IsEmpty());
  loose.broken = true;
  loose.held = 1;
  loose.pinned = &devices[0].profile;
  EXPECT_THAT(Schedule({loose}, {}, {devices[2]}).mends, IsEmpty());
  EXPECT_EQ(Schedule({loose}, {}, {devices[1], devices[2]}).mends.size(), 1u);
}

TEST(SchedulerTest, AJobThatAsksForAKindGetsAnother) {
  auto devices = Node("w1", 3);
  devices[2].profile.set_device_kind("gpu");
  SchedulerJob job = Job("a", 1, 3);
  job.kind = "gpu";
  EXPECT_THAT(Started(Schedule({job}, {}, devices)), ElementsAre("ax1"));
  job.kind = "cpu";
  EXPECT_THAT(Started(Schedule({job}, {}, devices)), ElementsAre("ax2"));
  job.kind = "gpu";
  job.min = 2;
  const Decisions decisions = Schedule({job}, {}, devices);
  ASSERT_EQ(decisions.waits.size(), 1u);
  EXPECT_THAT(decisions.waits[0].reason,
              HasSubstr("(workers.device: gpu): the ready workers have 1 of that kind and 3 in all"));
}

TEST(SchedulerTest, APinnedProfileIsKeptAndTheDifferenceNamed) {
  const v1::NumericProfile pinned = Profile("amx");
  SchedulerJob job = Job("a", 1, 1);
  job.pinned = &pinned;
  const Decisions decisions = Schedule({job}, {}, Node("w1", 2, "avx2"));
  ASSERT_EQ(decisions.waits.size(), 1u);
  EXPECT_EQ(
      decisions.waits[0].reason,
      "waiting for 1 device with the job's numeric profile: 0 of 2 match (on worker w1 instruction_set is "
      "'avx2' instead of 'amx')");
  EXPECT_THAT(Started(Schedule({job}, {}, Join({Node("w1", 2, "avx2"), Node("w2", 1, "amx")}))),
              ElementsAre("ax1"));
}

TEST(SchedulerTest, RunningJobsGrowIntoWhatNobodyElseCanUse) {
  const v1::NumericProfile pinned = Profile("avx512_core");
  SchedulerJob running = Job("r", 1, 4);
  running.pinned = &pinned;
  running.held = 1;
  const auto devices = Join({Node("w1", 1, "avx512_core", false), Node("w2", 3), Node("w3", 1, "avx2")});
  Decisions decisions = Schedule({Job("q", 1, 1)}, {running}, devices);
  EXPECT_THAT(Started(decisions), ElementsAre("qx1"));
  ASSERT_EQ(decisions.grows.size(), 1u);
  EXPECT_THAT(decisions.grows[0].devices, ElementsAre(2, 3));
  running.held = 4;
  EXPECT_THAT(Schedule({}, {running}, devices).grows, IsEmpty());
}

// A running job that holds the devices `from`, `from` + 1, ...
SchedulerJob Running(const std::string& id, int min, int max, int held, int from, int priority = 0) {
  static const v1::NumericProfile profile = Profile("avx512_core");
  SchedulerJob job = Job(id, min, max, priority);
  job.pinned = &profile;
  job.held = held;
  for (int i = 0; i < held; ++i) job.devices.push_back(from + i);
  return job;
}

std::vector<std::string> Preempted(const Decisions& decisions) {
  std::vector<std::string> out;
  for (const Preemption& preemption : decisions.preemptions)
    out.push_back(absl::StrCat(preemption.job, " for ", preemption.beneficiary));
  return out;
}

TEST(SchedulerTest, AJobThatIsScaledDownGivesItsHighestRanksBack) {
  const Decisions decisions = Schedule({}, {Running("a", 1, 2, 4, 0)}, Node("n", 5));
  ASSERT_EQ(decisions.shrinks.size(), 1u);
  EXPECT_EQ(decisions.shrinks[0].job, "a");
  EXPECT_THAT(decisions.shrinks[0].ranks, ElementsAre(3, 2));
  EXPECT_THAT(decisions.grows, IsEmpty());
}

TEST(SchedulerTest, JobsOfLowerPriorityShrinkForOneThatWaitsTheLowestAndYoungestFirst) {
  const auto devices = Node("n", 6, "avx512_core", false);
  const std::vector<SchedulerJob> running = {Running("a", 1, 4, 2, 0), Running("b", 1, 4, 3, 2),
                                             Running("c", 1, 1, 1, 5, -1)};
  Decisions decisions = Schedule({Job("q", 2, 2, 5)}, running, devices);
  ASSERT_EQ(decisions.shrinks.size(), 1u);
  EXPECT_EQ(decisions.shrinks[0].job, "b");
  EXPECT_THAT(decisions.shrinks[0].ranks, ElementsAre(2, 1));
  decisions = Schedule({Job("q", 3, 3, 5)}, running, devices);
  ASSERT_EQ(decisions.shrinks.size(), 2u);
  EXPECT_EQ(decisions.shrinks[1].job, "a");
  EXPECT_THAT(Preempted(decisions), IsEmpty());
  // Not enough even so: nobody shrinks. Nor for an equal.
  decisions = Schedule({Job("q", 4, 4, 0)}, running, devices);
  EXPECT_THAT(decisions.shrinks, IsEmpty());
  EXPECT_THAT(Preempted(decisions), IsEmpty());
}

TEST(SchedulerTest, WhoeverIsPreemptedIsNeededForItAndOnlyIfShrinkingIsNotEnough) {
  const auto devices = Node("n", 6, "avx512_core", false);
  const std::vector<SchedulerJob> running = {Running("a", 1, 4, 2, 0), Running("b", 1, 4, 3, 2),
                                             Running("c", 1, 1, 1, 5, -1)};
  // Three devices by shrinking, the fourth from c, which has the lowest priority.
  Decisions decisions = Schedule({Job("q", 4, 4, 5)}, running, devices);
  EXPECT_THAT(Preempted(decisions), ElementsAre("c for q"));
  ASSERT_EQ(decisions.shrinks.size(), 2u);
  EXPECT_EQ(decisions.shrinks[0].job, "b");
  EXPECT_EQ(decisions.shrinks[1].job, "a");
  decisions = Schedule({Job("q", 6, 6, 5)}, running, devices);
  EXPECT_THAT(Preempted(decisions), ElementsAre("c for q", "b for q", "a for q"));
  EXPECT_THAT(decisions.shrinks, IsEmpty());
  // More than there is; an equal.
  decisions = Schedule({Job("q", 7, 7, 5)}, running, devices);
  EXPECT_THAT(Preempted(decisions), IsEmpty());
  EXPECT_THAT(decisions.shrinks, IsEmpty());
  EXPECT_THAT(Preempted(Schedule({Job("q", 5, 5, 0)}, running, devices)), IsEmpty());
  EXPECT_THAT(Preempted(Schedule({Job("q", 6, 6, 0)}, running, devices)), IsEmpty());
}

TEST(SchedulerTest, WhoseDevicesDoNotHelpIsNotPreempted) {
  // The youngest of the lowest priority has one device, and the other's two are needed and enough.
  const auto devices = Node("n", 3, "avx512_core", false);
  EXPECT_THAT(
      Preempted(Schedule({Job("q", 2, 2, 5)}, {Running("a", 2, 2, 2, 0), Running("b", 1, 1, 1, 2)}, devices)),
      ElementsAre("a for q"));
  EXPECT_THAT(
      Preempted(Schedule({Job("q", 1, 1, 5)}, {Running("a", 2, 2, 2, 0), Running("b", 1, 1, 1, 2)}, devices)),
      ElementsAre("b for q"));
  // Devices of another profile.
  const auto mixed = Join({Node("w1", 1, "avx512_core", false), Node("w2", 2, "avx2", false)});
  const v1::NumericProfile pinned = Profile("avx2");
  SchedulerJob queued = Job("q", 1, 1, 5);
  queued.pinned = &pinned;
  EXPECT_THAT(Preempted(Schedule({queued}, {Running("a", 1, 1, 1, 0)}, mixed)), IsEmpty());
}

TEST(SchedulerTest, TheSameJobIsNotPreemptedForTwo) {
  const auto devices = Node("n", 2, "avx512_core", false);
  const Decisions decisions =
      Schedule({Job("p", 1, 1, 5), Job("q", 1, 1, 4)}, {Running("a", 2, 2, 2, 0)}, devices);
  EXPECT_THAT(Preempted(decisions), ElementsAre("a for p"));
}

TEST(SchedulerTest, WhatIsBeingGivenBackIsNotAskedForTwice) {
  auto devices = Node("n", 4, "avx512_core", false);
  devices[3].soon_free = true;
  const std::vector<SchedulerJob> running = {Running("a", 1, 4, 3, 0)};
  EXPECT_THAT(Schedule({Job("q", 1, 1, 5)}, running, devices).shrinks, IsEmpty());
  const Decisions decisions = Schedule({Job("q", 2, 2, 5)}, running, devices);
  ASSERT_EQ(decisions.shrinks.size(), 1u);
  EXPECT_THAT(decisions.shrinks[0].ranks, ElementsAre(2));
}

TEST(SchedulerTest, ABrokenJobGoesOnAtOnceOrTakesTheNextDevices) {
  SchedulerJob broken = Running("b", 1, 4, 2, 0);
  broken.broken = true;
  auto devices = Node("n", 4);
  devices[0].free = devices[1].free = false;
  Decisions decisions = Schedule({broken, Job("a", 2, 2)}, {}, devices);
  ASSERT_EQ(decisions.mends.size(), 1u);
  EXPECT_THAT(decisions.mends[0].devices, IsEmpty());
  EXPECT_THAT(Started(decisions), ElementsAre("ax2"));
  broken.min = 3;  // before an older job that waits
  decisions = Schedule({broken, Job("a", 2, 2)}, {}, devices);
  ASSERT_EQ(decisions.mends.size(), 1u);
  EXPECT_THAT(decisions.mends[0].devices, ElementsAre(2, 3));
  EXPECT_THAT(Started(decisions), IsEmpty());
  broken.min = broken.max = 5;
  EXPECT_THAT(Schedule({broken}, {}, devices).mends, IsEmpty());
}

TEST(SchedulerTest, ADeviceThatCannotServeAJobIsNotGivenToIt) {
  SchedulerJob job = Job("a", 1, 2);
  job.avoid = {{"n", "cpu:0"}};
  const Decisions decisions = Schedule({job}, {}, Node("n", 2));
  ASSERT_EQ(decisions.starts.size(), 1u);
  EXPECT_THAT(decisions.starts[0].devices, ElementsAre(1));
}

TEST(SchedulerTest, WithoutWorkersTheReasonSaysSo) {
  const Decisions decisions = Schedule({Job("a", 2, 2)}, {}, {});
  ASSERT_EQ(decisions.waits.size(), 1u);
  EXPECT_EQ(decisions.waits[0].reason, "waiting for 2 devices: no worker is ready");
}

TEST(SchedulerTest, AGangThatNoNodeHoldsTakesTheLargestNodesFirst) {
  const Decisions decisions =
      Schedule({Job("a", 5, 5)}, {}, Join({Node("w1", 1), Node("w2", 4), Node("w3", 2)}));
  ASSERT_EQ(decisions.starts.size(), 1u);
  EXPECT_THAT(decisions.starts[0].devices, ElementsAre(1, 2, 3, 4, 5));
}

TEST(SchedulerTest, OnlyTheFirstJobsOfALongQueueAreLookedAt) {
  std::vector<SchedulerJob> queue;
  for (int i = 0; i < 1000; ++i) queue.push_back(Job(absl::StrCat("j", 1000 + i), 1, 1));
  SchedulerOptions options;
  options.considered = 10;
  const Decisions decisions = Schedule(queue, {}, Node("w", 2), options);
  EXPECT_EQ(decisions.starts.size(), 2u);
  EXPECT_EQ(decisions.waits.size(), 8u);
}

TEST(ProfileTest, EveryFieldTellsProfilesApart) {
  const auto* descriptor = v1::NumericProfile::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    v1::NumericProfile left, right;
    const auto* field = descriptor->field(i);
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      right.GetReflection()->SetString(&right, field, "x");
    } else {
      right.GetReflection()->SetInt32(&right, field, 7);
    }
    EXPECT_NE(ProfileKey(left), ProfileKey(right)) << field->name();
    EXPECT_THAT(ProfileDifference(left, right), HasSubstr(field->name()));
    EXPECT_EQ(ProfileDifference(left, left), "");
  }
}

}  // namespace
}  // namespace lockstep
