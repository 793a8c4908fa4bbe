#include "client/cli/chaos_timeline.h"

#include "common/base/proto_time.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

class ChaosTimelineTest : public ::testing::Test {
 protected:
  void At(int milliseconds, v1::JobState state, int64_t generation, int64_t step, bool regrouping = false) {
    v1::Job job;
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
  EXPECT_EQ(FromProto(outcome.noticed()), absl::Milliseconds(30));
  EXPECT_EQ(FromProto(outcome.next_step()), absl::Milliseconds(200));
  EXPECT_EQ(outcome.steps_redone(), 0);
}

TEST_F(ChaosTimelineTest, StepsThatAreDoneAgainAreCounted) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1030, v1::JOB_STATE_QUEUED, 1, 100);
  At(1100, v1::JOB_STATE_STARTING, 2, 100);
  At(1500, v1::JOB_STATE_RUNNING, 2, 81);
  EXPECT_EQ(Of(1000).steps_redone(), 19);
}

TEST_F(ChaosTimelineTest, AWorkerThatJoinsDoesNotStopTheJob) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1100, v1::JOB_STATE_RUNNING, 2, 105, true);
  At(1200, v1::JOB_STATE_RUNNING, 2, 106, true);
  At(1250, v1::JOB_STATE_RUNNING, 2, 107, false);
  EXPECT_EQ(FromProto(Of(1000).noticed()), absl::Milliseconds(100));
  EXPECT_EQ(FromProto(Of(1000).next_step()), absl::Milliseconds(250));
}

TEST_F(ChaosTimelineTest, WhatDidNotHappenIsUnset) {
  At(0, v1::JOB_STATE_RUNNING, 1, 100);
  At(1100, v1::JOB_STATE_RUNNING, 1, 110);
  EXPECT_FALSE(Of(1000).has_noticed());
  At(1200, v1::JOB_STATE_RECOVERING, 1, 110);
  EXPECT_TRUE(Of(1000).has_noticed());
  EXPECT_FALSE(Of(1000).has_next_step());
}

}  // namespace
}  // namespace lockstep
