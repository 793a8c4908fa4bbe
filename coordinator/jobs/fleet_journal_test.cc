// What the journal says of jobs and workers, through a whole controller.
#include <gmock/gmock.h>

#include "coordinator/jobs/testing.h"

namespace lockstep {
namespace fleet_journal_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FleetJournalTest : public ControllerTest {
 protected:
  using Kind = FleetEvent::Kind;

  // Waits for an event of that kind; the newest one.
  FleetEvent Await(Kind kind, size_t count = 1) {
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (absl::Now() < end) {
      size_t found = 0;
      FleetEvent last;
      for (const FleetEvent& event : controller_->FleetEvents()) {
        if (event.kind == kind && ++found >= count) last = event;
      }
      if (found >= count) return last;
      absl::SleepFor(absl::Milliseconds(2));
    }
    ADD_FAILURE() << "no event of kind " << static_cast<int>(kind);
    return {};
  }
};

TEST_F(FleetJournalTest, AJobThatChangedTwiceIsToldOnce) {
  const std::string first = SubmitId(Spec());
  const int64_t before = controller_->ChangedJobs(0).revision;
  const std::string second = SubmitId(Spec());
  ASSERT_TRUE(Cancel(first).ok());
  ASSERT_TRUE(Resume(first).ok());
  const JobChanges changes = controller_->ChangedJobs(before);
  EXPECT_TRUE(changes.complete);
  EXPECT_THAT(changes.jobs, ElementsAre(second, first));
  EXPECT_THAT(controller_->ChangedJobs(changes.revision).jobs, IsEmpty());
}

TEST_F(FleetJournalTest, ARevisionOfAnotherCoordinatorIsNotOurs) {
  SubmitId(Spec());
  EXPECT_FALSE(controller_->ChangedJobs(controller_->ChangedJobs(0).revision + 1).complete);
  EXPECT_FALSE(controller_->ChangedJobs(-1).complete);
}

TEST_F(FleetJournalTest, AWorkersLifeIsToldInOrder) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  EXPECT_EQ(Await(Kind::kJoined).worker, "w1");
  const std::string job = SubmitId(Spec());
  auto crash = FakeAgent::StatusOf(agent.Run(), v1::ASSIGNMENT_STATE_CRASHED);
  WaitState(job, v1::JOB_STATE_RUNNING);
  crash.set_signal(9);
  agent.Report(crash);
  const FleetEvent failure = Await(Kind::kFailure);
  EXPECT_EQ(failure.worker, "w1");
  EXPECT_EQ(failure.device, "cpu:0");
  EXPECT_EQ(failure.job, job);
  EXPECT_THAT(failure.text, HasSubstr("SIGKILL"));
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Await(Kind::kLost).worker, "w1");
  FakeAgent again(controller_.get(), "w1", 1, "avx512_core", "w1-2");
  again.Join();
  EXPECT_THAT(Await(Kind::kJoined, 2).text, HasSubstr("again"));
}

TEST_F(FleetJournalTest, WhatHappenedBeforeARestartIsStillTold) {
  {
    FakeAgent agent(controller_.get(), "w1", 1);
    agent.Join();
    const std::string job = SubmitId(Spec());
    auto crash = FakeAgent::StatusOf(agent.Run(), v1::ASSIGNMENT_STATE_CRASHED);
    WaitState(job, v1::JOB_STATE_RUNNING);
    crash.set_signal(9);
    agent.Report(crash);
    Await(Kind::kFailure);
  }
  const size_t before = controller_->FleetEvents().size();
  RestartController();
  const std::vector<FleetEvent> events = controller_->FleetEvents();
  ASSERT_GE(events.size(), before);
  EXPECT_EQ(events.front().kind, Kind::kJoined);
  EXPECT_THAT(Await(Kind::kFailure).text, HasSubstr("SIGKILL"));
  FakeAgent again(controller_.get(), "w1", 1, "avx512_core", "w1-2");
  again.Join();
  Await(Kind::kJoined, 2);
}

TEST_F(FleetJournalTest, AStoreThatCannotBeWrittenKeepsNoWorkerOutAndHasTheEventsLater) {
  FakeAgent first(controller_.get(), "w1", 1);
  store_->failing = true;
  first.Join();
  Await(Kind::kJoined);
  store_->failing = false;
  FakeAgent second(controller_.get(), "w2", 1);
  second.Join();
  Await(Kind::kJoined, 2);
  RestartController();
  const std::vector<FleetEvent> events = controller_->FleetEvents();
  ASSERT_GE(events.size(), 2u);
  EXPECT_EQ(events[0].worker, "w1");
  EXPECT_EQ(events[1].worker, "w2");
}

TEST_F(FleetJournalTest, WhatAFailedCommitUndidIsNotTold) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const int64_t before = controller_->ChangedJobs(0).revision;
  store_->failing = true;
  EXPECT_FALSE(Submit(Spec()).ok());
  EXPECT_THAT(controller_->ChangedJobs(before).jobs, IsEmpty());
}

}  // namespace fleet_journal_test
}  // namespace lockstep
