#include "coordinator/scheduler/supervision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace lockstep::supervision_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SupervisedMember Healthy() {
  SupervisedMember member;
  member.heard = member.current = member.connected = member.holds_state = true;
  return member;
}

SupervisedJob Running(int members) {
  SupervisedJob job;
  job.members.assign(static_cast<size_t>(members), Healthy());
  job.stepped = true;
  job.most_failures = 3;
  return job;
}

TEST(SuperviseTest, AHealthyJobGoesOn) { EXPECT_EQ(Supervise(Running(3)).action, SupervisionAction::kGoOn); }

TEST(SuperviseTest, ThoseThatAreLeftReform) {
  SupervisedJob job = Running(3);
  job.members[1].gone = true;
  const SupervisionDecision decision = Supervise(job);
  EXPECT_EQ(decision.action, SupervisionAction::kReform);
  EXPECT_THAT(decision.lost, ElementsAre(1));
  EXPECT_TRUE(decision.is_failure);
}

TEST(SuperviseTest, WithoutAHolderOfTheStateTheJobIsRestarted) {
  SupervisedJob job = Running(2);
  job.members[0].gone = true;
  job.members[1].holds_state = false;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kRestart);
  // Before the first step there is none to lose.
  job.stepped = false;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kReform);
  job.members[1].gone = true;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kRestart);
}

TEST(SuperviseTest, ALostConnectionWaitsForItsCauseThenCounts) {
  SupervisedJob job = Running(2);
  job.members[0].interrupted = true;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kGoOn);
  job.patience_over = true;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kReform);
  EXPECT_TRUE(Supervise(job).is_failure);
  job.waiting = true;  // for devices: it is known to be broken
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kGoOn);
}

TEST(SuperviseTest, AClosedStreamAloneLosesNobodyButExplainsALostPeer) {
  SupervisedJob job = Running(3);
  job.members[2].connected = false;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kGoOn);
  job.members[0].interrupted = true;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kReform);
  EXPECT_THAT(Supervise(job).lost, ElementsAre(2));
}

TEST(SuperviseTest, AfterARestartItWaitsForEachMemberUntilTheGraceIsOver) {
  SupervisedJob job = Running(2);
  job.adopting = true;
  job.members[1].heard = job.members[1].current = job.members[1].connected = false;
  job.members[0].interrupted = true;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kGoOn);
  job.grace_over = true;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kReform);
  EXPECT_THAT(Supervise(job).lost, ElementsAre(1));
}

TEST(SuperviseTest, AMemberThatMissedItsOrderIsBroughtBackWithoutBlame) {
  SupervisedJob job = Running(2);
  job.adopting = true;
  job.members[1].current = false;
  const SupervisionDecision decision = Supervise(job);
  EXPECT_EQ(decision.action, SupervisionAction::kReform);
  EXPECT_THAT(decision.lost, IsEmpty());
  EXPECT_FALSE(decision.is_failure);
}

TEST(SuperviseTest, ANewcomerThatDiesDuringItsPreparationDisturbsNobody) {
  SupervisedJob job = Running(3);
  job.growing = true;
  job.told = false;
  job.members[2] = {.gone = true, .newcomer = true};
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kDropNewcomers);
  job.told = true;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kReform);
  job.told = false;
  job.members[0].gone = true;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kReform);
}

TEST(SuperviseTest, TooManyFailuresWithoutAStepEndTheJob) {
  SupervisedJob job = Running(2);
  job.members[0].gone = true;
  job.failures = 3;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kGiveUp);
  job.members[0] = Healthy();
  job.adopting = true;
  job.members[1].current = false;  // a restart of the coordinator is nobody's failure
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kReform);
}

TEST(SuperviseTest, MembersThatEndedAsOrderedAreNotMissed) {
  SupervisedJob job = Running(2);
  job.members[1] = {.ended = true, .gone = true};
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kGoOn);
  job.members[0].gone = true;
  EXPECT_EQ(Supervise(job).action, SupervisionAction::kRestart);
}

// Whatever is known of the members, no decision forgets a state that somebody holds or blames a healthy one.
TEST(SuperviseTest, RandomSituationsKeepTheStateAndTheLiving) {
  std::mt19937 random(7);
  const auto flip = [&](int one_in) { return random() % static_cast<unsigned>(one_in) == 0; };
  for (int round = 0; round < 200'000; ++round) {
    SupervisedJob job;
    job.adopting = flip(3);
    job.grace_over = flip(2);
    job.patience_over = flip(3);
    job.waiting = flip(4);
    job.stepped = !flip(4);
    job.growing = flip(3);
    job.told = !job.growing || flip(2);
    job.failures = static_cast<int>(random() % 4);
    job.most_failures = 3;
    for (int i = static_cast<int>(random() % 4); i >= 0; --i) {
      SupervisedMember member;
      member.ended = flip(8);
      member.gone = flip(4);
      member.heard = !flip(4);
      member.current = member.heard && !flip(4);
      member.interrupted = flip(3);
      member.connected = !flip(4);
      member.holds_state = !flip(4);
      member.overdue = flip(10);
      member.newcomer = job.growing && flip(2);
      job.members.push_back(member);
    }
    const SupervisionDecision decision = Supervise(job);
    if (decision.action == SupervisionAction::kGoOn) {
      for (const SupervisedMember& member : job.members) {
        const bool waits = job.adopting && !job.grace_over;
        EXPECT_TRUE(!member.gone || member.ended || waits) << round;
      }
      continue;
    }
    bool holder_left = false;
    for (int rank = 0; rank < static_cast<int>(job.members.size()); ++rank) {
      const SupervisedMember& member = job.members[rank];
      const bool lost = std::find(decision.lost.begin(), decision.lost.end(), rank) != decision.lost.end();
      const bool well = !member.gone && member.heard && member.connected && !member.overdue;
      EXPECT_FALSE(lost && (well || member.ended)) << round;
      holder_left |= !lost && !member.ended && member.holds_state;
    }
    const bool restarts = decision.action == SupervisionAction::kRestart;
    const bool reforms = decision.action == SupervisionAction::kReform;
    EXPECT_TRUE(!job.stepped || !restarts || !holder_left) << round;
    EXPECT_TRUE(!job.stepped || !reforms || holder_left) << round;
    if (decision.action == SupervisionAction::kDropNewcomers) {
      for (const int rank : decision.lost) EXPECT_TRUE(job.members[rank].newcomer) << round;
    }
  }
}

}  // namespace
}  // namespace lockstep::supervision_test
