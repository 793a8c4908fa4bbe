// Rule 6 of scheduler.h: what namespaces' quotas of devices do to starts, growth and shrinking.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "coordinator/scheduler/scheduler.h"

namespace lockstep::quota_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kTeamA = 0, kTeamB = 1;

v1::NumericProfile Profile() {
  v1::NumericProfile profile;
  profile.set_device_kind("cpu");
  return profile;
}

std::vector<SchedulerDevice> Devices(int free, int busy = 0) {
  std::vector<SchedulerDevice> devices;
  for (int i = 0; i < free + busy; ++i)
    devices.push_back({"w", absl::StrCat("cpu:", i), Profile(), i >= busy});
  return devices;
}

SchedulerJob Job(const std::string& id, int quota, int min, int max, int priority = 0) {
  SchedulerJob job;
  job.id = id;
  job.quota = quota;
  job.min = min;
  job.max = max;
  job.priority = priority;
  return job;
}

// On the first `held` devices after `from`.
SchedulerJob Running(SchedulerJob job, const v1::NumericProfile& profile, int from, int held) {
  job.pinned = &profile;
  job.held = held;
  for (int i = 0; i < held; ++i) job.devices.push_back(from + i);
  return job;
}

std::vector<std::string> Names(const std::vector<Placement>& placements) {
  std::vector<std::string> names;
  for (const Placement& placement : placements)
    names.push_back(absl::StrCat(placement.job, "x", placement.devices.size()));
  return names;
}

TEST(QuotaSchedulingTest, AStartTakesNoMoreThanTheQuota) {
  const Decisions decisions = Schedule({Job("a", kTeamA, 1, 8)}, {}, Devices(8), {}, {{"team-a", 3}});
  EXPECT_THAT(Names(decisions.starts), ElementsAre("ax3"));
}

TEST(QuotaSchedulingTest, AJobBeyondTheQuotaWaitsWithItsReasonAndOthersPassBy) {
  const Decisions decisions = Schedule(
      {Job("a1", kTeamA, 2, 2), Job("a2", kTeamA, 2, 2), Job("b1", kTeamB, 2, 2), Job("c1", -1, 1, 1)}, {},
      Devices(8), {}, {{"team-a", 3}, {"team-b", 2}});
  EXPECT_THAT(Names(decisions.starts), ElementsAre("a1x2", "b1x2", "c1x1"));
  ASSERT_THAT(decisions.waits, SizeIs(1));
  EXPECT_EQ(decisions.waits[0].job, "a2");
  EXPECT_THAT(decisions.waits[0].reason, AllOf(HasSubstr("quota of namespace team-a"),
                                               HasSubstr("2 of its 3 devices in use"), HasSubstr("needs 2")));
}

TEST(QuotaSchedulingTest, ASmallerJobDoesNotTakeWhatALargerOneOfItsNamespaceWaitsFor) {
  const Decisions decisions =
      Schedule({Job("a2", kTeamA, 2, 2), Job("a3", kTeamA, 1, 1)}, {}, Devices(8), {}, {{"team-a", 2, 1}});
  EXPECT_THAT(decisions.starts, IsEmpty());
  ASSERT_THAT(decisions.waits, SizeIs(2));
  EXPECT_THAT(decisions.waits[1].reason, HasSubstr("after jobs ahead"));
}

TEST(QuotaSchedulingTest, AJobThatCanNeverRunHoldsUpNobody) {
  const Decisions decisions =
      Schedule({Job("a2", kTeamA, 5, 5), Job("a3", kTeamA, 1, 1)}, {}, Devices(8), {}, {{"team-a", 2}});
  EXPECT_THAT(Names(decisions.starts), ElementsAre("a3x1"));
  EXPECT_THAT(decisions.waits[0].reason, HasSubstr("lower workers.min"));
}

TEST(QuotaSchedulingTest, JobsThatOnlyTheirQuotaHoldsDoNotCountAsConsidered) {
  std::vector<SchedulerJob> queued;
  for (int i = 0; i < 5; ++i) queued.push_back(Job(absl::StrCat("a", i), kTeamA, 1, 1));
  queued.push_back(Job("b", kTeamB, 1, 1));
  const Decisions decisions =
      Schedule(queued, {}, Devices(8), {.considered = 1}, {{"team-a", 0}, {"team-b", 1}});
  EXPECT_THAT(Names(decisions.starts), ElementsAre("bx1"));
}

TEST(QuotaSchedulingTest, GrowthStopsAtTheQuotaAndBeforeAJobThatWaits) {
  const v1::NumericProfile profile = Profile();
  const SchedulerJob running = Running(Job("r", kTeamA, 1, 8), profile, 0, 2);
  EXPECT_THAT(Names(Schedule({}, {running}, Devices(6, 2), {}, {{"team-a", 5, 2}}).grows),
              ElementsAre("rx3"));
  EXPECT_THAT(Schedule({}, {running}, Devices(6, 2), {}, {{"team-a", 2, 2}}).grows, IsEmpty());
  EXPECT_THAT(Schedule({}, {running}, Devices(6, 2), {}, {{"team-a", 1, 2}}).grows, IsEmpty()) << "lowered";
  const Decisions decisions =
      Schedule({Job("a", kTeamA, 4, 4)}, {running}, Devices(6, 2), {}, {{"team-a", 5, 2}});
  EXPECT_THAT(decisions.grows, IsEmpty()) << "what is left is for the one that waits";
}

TEST(QuotaSchedulingTest, AJobOfHigherPriorityHasItsOwnNamespaceAloneShrink) {
  const v1::NumericProfile profile = Profile();
  const SchedulerJob mine = Running(Job("r", kTeamA, 1, 4), profile, 0, 4);
  const SchedulerJob other = Running(Job("o", kTeamB, 1, 4), profile, 4, 4);
  const Decisions decisions = Schedule({Job("a", kTeamA, 2, 2, 10)}, {mine, other}, Devices(4, 8), {},
                                       {{"team-a", 4, 4}, {"team-b", 4, 4}});
  ASSERT_THAT(decisions.shrinks, SizeIs(1));
  EXPECT_EQ(decisions.shrinks[0].job, "r");
  EXPECT_THAT(decisions.shrinks[0].ranks, ElementsAre(3, 2));
  const Decisions ordered = Schedule({Job("a", kTeamA, 2, 2, 10)}, {mine, other}, Devices(4, 8), {},
                                     {{"team-a", 4, 4, 2}, {"team-b", 4, 4}});
  EXPECT_THAT(ordered.shrinks, IsEmpty()) << "two are on their way already";
  const Decisions all = Schedule({Job("a", kTeamA, 4, 4, 10)}, {mine, other}, Devices(4, 8), {},
                                 {{"team-a", 4, 4}, {"team-b", 4, 4}});
  EXPECT_THAT(all.shrinks, IsEmpty());
  ASSERT_THAT(all.preemptions, SizeIs(1));
  EXPECT_EQ(all.preemptions[0].job, "r");
}

TEST(QuotaSchedulingTest, AJobThatWaitsForItsPoolKeepsItsShareOfTheQuota) {
  auto devices = Devices(1, 3);
  v1::NumericProfile gpu;
  gpu.set_device_kind("cuda");
  devices.push_back({"g", "cuda:0", gpu, true});
  SchedulerJob large = Job("a", kTeamA, 2, 2);
  const v1::NumericProfile cpu = Profile();
  large.pinned = &cpu;
  const Decisions decisions = Schedule({large, Job("b", kTeamA, 1, 1)}, {}, devices, {}, {{"team-a", 2}});
  EXPECT_THAT(decisions.starts, IsEmpty());
  ASSERT_THAT(decisions.waits, SizeIs(2));
  EXPECT_THAT(decisions.waits[0].reason, HasSubstr("1 of 4"));
  EXPECT_THAT(decisions.waits[1].reason, HasSubstr("quota"));
}

TEST(QuotaSchedulingTest, ABrokenJobGoesOnWithWhatItHoldsAndTakesMoreWithinTheQuota) {
  const v1::NumericProfile profile = Profile();
  SchedulerJob broken = Running(Job("r", kTeamA, 2, 4), profile, 0, 2);
  broken.broken = true;
  EXPECT_THAT(Names(Schedule({broken}, {}, Devices(2, 2), {}, {{"team-a", 2, 2}}).mends), ElementsAre("rx0"));
  broken.min = 3;
  EXPECT_THAT(Names(Schedule({broken}, {}, Devices(2, 2), {}, {{"team-a", 3, 2}}).mends), ElementsAre("rx1"));
  EXPECT_THAT(Schedule({broken}, {}, Devices(2, 2), {}, {{"team-a", 2, 2}}).mends, IsEmpty());
}

}  // namespace
}  // namespace lockstep::quota_test
