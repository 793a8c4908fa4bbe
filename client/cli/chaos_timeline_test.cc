#include "client/cli/chaos_timeline.h"

#include "gtest/gtest.h"

namespace lockstep {
namespace {

class ChaosTimelineTest : public ::testing::Test {
 protected:
  void At(int milliseconds, v1::JobState state, int64_t generation, int64_t step, bool regrouping = false,
          double step_seconds = 0) {
    v1::Job job;
    if (step_seconds > 0) {
      job.add_members()->mutable_times()->set_compute(step_seconds / 4);
      v1::StepTimes* slowest = job.add_members()->mutable_times();
      slowest->set_input(step_seconds / 8);
      slowest->set_compute(step_seconds / 2);
      slowest->set_communication(step_seconds / 4);
      slowest->set_checkpoint(step_seconds / 8);
    }
    job.set_regrouping(regrouping);
    job.set_state(state);
    job.set_generation(generation);
    job.mutable_progress()->set_step(step);
    timeline_.Add(job, start_ + absl::Milliseconds(milliseconds));
  }
  v1::FaultOutcome Of(int milliseconds) {
    return timeline_.OutcomeOf(start_ + absl::Milliseconds(milliseconds));
  }

  const absl::Time start_ = absl::FromUnixSeconds(1000);
  ChaosTimeline timeline_;
};

TEST_F(ChaosTimelineTest, AKilledTrainerIsNoticedAndTheNextStepFollows) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1010, v1::JOB_STATE_RUNNING, 1, 110);
  At(1030, v1::JOB_STATE_RECOVERING, 2, 110);
  At(1200, v1::JOB_STATE_RUNNING, 2, 111);
  At(1300, v1::JOB_STATE_RUNNING, 2, 130);
  const v1::FaultOutcome outcome = Of(1000);
  EXPECT_DOUBLE_EQ(outcome.detection_seconds(), 0.030);
  EXPECT_DOUBLE_EQ(outcome.regroup_seconds(), 0.170);
  EXPECT_DOUBLE_EQ(outcome.next_step_seconds(), 0.200);
  EXPECT_TRUE(outcome.has_lost_steps());
  EXPECT_EQ(outcome.lost_steps(), 0);
  EXPECT_TRUE(outcome.has_lost_seconds());
  EXPECT_EQ(outcome.lost_seconds(), 0);
}

TEST_F(ChaosTimelineTest, StepsThatAreDoneAgainAreCounted) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1030, v1::JOB_STATE_QUEUED, 1, 100);
  At(1100, v1::JOB_STATE_STARTING, 2, 100);
  At(1500, v1::JOB_STATE_RUNNING, 2, 81);
  EXPECT_EQ(Of(1000).lost_steps(), 19);
  EXPECT_FALSE(Of(1000).has_lost_seconds());  // nobody said how long a step takes
}

TEST_F(ChaosTimelineTest, AWorkerThatJoinsDoesNotStopTheJob) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1100, v1::JOB_STATE_RUNNING, 2, 105, true);
  At(1200, v1::JOB_STATE_RUNNING, 2, 106, true);
  At(1250, v1::JOB_STATE_RUNNING, 2, 107, false);
  EXPECT_DOUBLE_EQ(Of(1000).detection_seconds(), 0.100);
  EXPECT_DOUBLE_EQ(Of(1000).regroup_seconds(), 0.150);
  EXPECT_DOUBLE_EQ(Of(1000).next_step_seconds(), 0.250);
  EXPECT_EQ(Of(1000).lost_steps(), 0);
}

TEST_F(ChaosTimelineTest, WhatDidNotHappenIsUnset) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1100, v1::JOB_STATE_RUNNING, 1, 110);
  EXPECT_FALSE(Of(1000).has_detection_seconds());
  At(1200, v1::JOB_STATE_RECOVERING, 1, 110);
  EXPECT_TRUE(Of(1000).has_detection_seconds());
  EXPECT_FALSE(Of(1000).has_regroup_seconds());
  EXPECT_FALSE(Of(1000).has_next_step_seconds());
  EXPECT_FALSE(Of(1000).has_lost_steps());
  EXPECT_FALSE(Of(1000).has_lost_seconds());
}

TEST_F(ChaosTimelineTest, LostTimeIsTheSlowestRanksTimeForEachLostStep) {
  At(0, v1::JOB_STATE_RUNNING, 1, 90, false, 0.5);
  At(900, v1::JOB_STATE_RUNNING, 1, 100, false, 0.25);
  At(1030, v1::JOB_STATE_RECOVERING, 1, 100, false, 8);  // a rank that stood still
  At(1040, v1::JOB_STATE_RECOVERING, 2, 100);
  At(1500, v1::JOB_STATE_RUNNING, 2, 81);
  EXPECT_DOUBLE_EQ(Of(1000).lost_seconds(), 19 * 0.25);
}

TEST_F(ChaosTimelineTest, ProgressThatComesAfterTheFirstStepStillShowsWhatWasLost) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1030, v1::JOB_STATE_QUEUED, 1, 105);
  At(1500, v1::JOB_STATE_RUNNING, 2, 105);
  EXPECT_TRUE(Of(1000).has_next_step_seconds());
  EXPECT_FALSE(Of(1000).has_lost_steps());  // shown is what was before
  At(1600, v1::JOB_STATE_RUNNING, 2, 85);
  EXPECT_EQ(Of(1000).lost_steps(), 20);
  At(1700, v1::JOB_STATE_RUNNING, 2, 110);
  At(1800, v1::JOB_STATE_RECOVERING, 2, 110);
  At(1900, v1::JOB_STATE_RUNNING, 3, 50);  // the next fault's
  EXPECT_EQ(Of(1000).lost_steps(), 20);
}

TEST_F(ChaosTimelineTest, ACoordinatorThatForgotProgressLostNoSteps) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1030, v1::JOB_STATE_RECOVERING, 1, 90);
  At(1500, v1::JOB_STATE_RUNNING, 1, 90);
  At(1600, v1::JOB_STATE_RUNNING, 1, 130);
  EXPECT_DOUBLE_EQ(Of(1000).regroup_seconds(), 0.470);
  EXPECT_TRUE(Of(1000).has_lost_steps());
  EXPECT_EQ(Of(1000).lost_steps(), 0);
}

TEST_F(ChaosTimelineTest, WhatTwoFaultsLostTogetherIsToldOnce) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1030, v1::JOB_STATE_RECOVERING, 2, 100);
  At(1130, v1::JOB_STATE_QUEUED, 2, 100);
  At(1500, v1::JOB_STATE_RUNNING, 3, 81);
  At(1600, v1::JOB_STATE_RUNNING, 3, 120);
  const auto outcomes =
      timeline_.OutcomesOf({start_ + absl::Milliseconds(1000), start_ + absl::Milliseconds(1100)});
  EXPECT_EQ(outcomes[0].lost_steps(), 19);
  EXPECT_DOUBLE_EQ(outcomes[1].detection_seconds(), 0.030);
  EXPECT_DOUBLE_EQ(outcomes[1].next_step_seconds(), 0.400);
  EXPECT_TRUE(outcomes[1].has_lost_steps());
  EXPECT_EQ(outcomes[1].lost_steps(), 0);
}

}  // namespace
}  // namespace lockstep
