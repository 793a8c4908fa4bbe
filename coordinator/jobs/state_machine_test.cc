#include "coordinator/jobs/state_machine.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace lockstep {
namespace {

using Pair = std::pair<v1::JobState, v1::JobState>;

const std::set<Pair>& Allowed() {
  using namespace v1;  // NOLINT: a table
  static const auto* allowed = new std::set<Pair>{
      {JOB_STATE_UNSPECIFIED, JOB_STATE_QUEUED},  {JOB_STATE_QUEUED, JOB_STATE_STARTING},
      {JOB_STATE_QUEUED, JOB_STATE_PAUSED},       {JOB_STATE_QUEUED, JOB_STATE_FAILED},
      {JOB_STATE_QUEUED, JOB_STATE_CANCELLED},    {JOB_STATE_STARTING, JOB_STATE_RUNNING},
      {JOB_STATE_STARTING, JOB_STATE_RECOVERING}, {JOB_STATE_STARTING, JOB_STATE_QUEUED},
      {JOB_STATE_STARTING, JOB_STATE_PAUSED},     {JOB_STATE_STARTING, JOB_STATE_FAILED},
      {JOB_STATE_STARTING, JOB_STATE_CANCELLED},  {JOB_STATE_RUNNING, JOB_STATE_SUCCEEDED},
      {JOB_STATE_RUNNING, JOB_STATE_RECOVERING},  {JOB_STATE_RUNNING, JOB_STATE_QUEUED},
      {JOB_STATE_RUNNING, JOB_STATE_PAUSED},      {JOB_STATE_RUNNING, JOB_STATE_FAILED},
      {JOB_STATE_RUNNING, JOB_STATE_CANCELLED},   {JOB_STATE_RECOVERING, JOB_STATE_RUNNING},
      {JOB_STATE_RECOVERING, JOB_STATE_QUEUED},   {JOB_STATE_RECOVERING, JOB_STATE_PAUSED},
      {JOB_STATE_RECOVERING, JOB_STATE_FAILED},   {JOB_STATE_RECOVERING, JOB_STATE_CANCELLED},
      {JOB_STATE_PAUSED, JOB_STATE_QUEUED},       {JOB_STATE_PAUSED, JOB_STATE_CANCELLED},
      {JOB_STATE_FAILED, JOB_STATE_QUEUED},       {JOB_STATE_CANCELLED, JOB_STATE_QUEUED},
  };
  return *allowed;
}

TEST(StateMachineTest, ExactlyTheDrawnTransitionsAreAllowed) {
  for (int from = v1::JobState_MIN; from <= v1::JobState_MAX; ++from) {
    for (int to = v1::JobState_MIN; to <= v1::JobState_MAX; ++to) {
      const Pair pair(static_cast<v1::JobState>(from), static_cast<v1::JobState>(to));
      v1::Job job;
      job.set_id("j1");
      job.set_state(pair.first);
      job.set_reason("before");
      auto result = Transition(&job, pair.second, "because", absl::FromUnixSeconds(1));
      const std::string what = JobStateName(pair.first) + " -> " + JobStateName(pair.second);
      if (Allowed().count(pair) > 0) {
        ASSERT_TRUE(result.ok()) << what << ": " << result.status();
        EXPECT_EQ(job.state(), pair.second);
        EXPECT_EQ(job.reason(), "because");
        EXPECT_EQ(result->from, pair.first);
        EXPECT_EQ(result->to, pair.second);
        EXPECT_EQ(job.has_finished_at(), IsFinal(pair.second)) << what;
      } else {
        ASSERT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << what;
        EXPECT_EQ(job.state(), pair.first);
        EXPECT_EQ(job.reason(), "before");
      }
    }
  }
}

TEST(StateMachineTest, AResumedJobIsNoLongerFinished) {
  v1::Job job;
  job.set_state(v1::JOB_STATE_RUNNING);
  job.add_members()->set_worker("w1");
  ASSERT_TRUE(Transition(&job, v1::JOB_STATE_FAILED, "crash", absl::FromUnixSeconds(5)).ok());
  EXPECT_EQ(job.finished_at().seconds(), 5);
  EXPECT_EQ(job.members_size(), 1);  // people want to know where it ran
  ASSERT_TRUE(Transition(&job, v1::JOB_STATE_QUEUED, "resumed", absl::FromUnixSeconds(6)).ok());
  EXPECT_FALSE(job.has_finished_at());
  EXPECT_EQ(job.members_size(), 0);
}

TEST(StateMachineTest, APausedJobHasItsWishFulfilled) {
  v1::Job job;
  job.set_state(v1::JOB_STATE_RUNNING);
  job.set_pause_requested(true);
  ASSERT_TRUE(Transition(&job, v1::JOB_STATE_PAUSED, "paused", absl::FromUnixSeconds(5)).ok());
  EXPECT_FALSE(job.pause_requested());
}

TEST(StateMachineTest, NamesAreThoseOfTheApiInLowerCase) {
  EXPECT_EQ(JobStateName(v1::JOB_STATE_QUEUED), "queued");
  EXPECT_EQ(JobStateName(v1::JOB_STATE_RECOVERING), "recovering");
  EXPECT_EQ(JobStateName(static_cast<v1::JobState>(99)), "unknown(99)");
}

}  // namespace
}  // namespace lockstep
