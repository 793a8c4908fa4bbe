// What a job has cost: device-seconds, lost steps and restarts, as the store has them.
#include <gmock/gmock.h>

#include <numeric>

#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/job_time.h"
#include "coordinator/jobs/testing.h"

namespace lockstep::goodput_test {
namespace {

class GoodputTest : public ControllerTest {
 protected:
  GoodputTest() : agent_(std::make_unique<FakeAgent>(controller_.get(), "w1", 1)) { agent_->Join(); }

  void Start() {
    job_ = SubmitId(Spec());
    order_ = agent_->NextAssignment();
    RunFrom(1);
  }
  // The order's first step, which is that one.
  void RunFrom(int64_t step) {
    agent_->Address(order_);
    auto running = FakeAgent::StatusOf(order_, v1::ASSIGNMENT_STATE_RUNNING);
    running.set_step(step);
    agent_->Report(running);
    WaitState(job_, v1::JOB_STATE_RUNNING);
  }
  v1::DeviceTime Time(double compute, int64_t since = 1) const {
    v1::DeviceTime time;
    time.set_job_id(job_);
    time.set_device("cpu:0");
    time.mutable_since()->set_seconds(since);
    time.set_compute(compute);
    return time;
  }
  void Crash(const v1::DeviceTime& time) {
    auto crash = FakeAgent::StatusOf(order_, v1::ASSIGNMENT_STATE_CRASHED);
    crash.set_signal(9);
    *crash.mutable_time() = time;
    agent_->Report(crash);
    order_ = agent_->NextAssignment();
  }
  v1::JobTime Cost() {
    EXPECT_TRUE(Resume(job_).ok());  // what was reported before has been applied
    auto stored = store_->GetJob(job_);
    EXPECT_TRUE(stored.ok());
    return stored->time;
  }

  std::unique_ptr<FakeAgent> agent_;
  std::string job_;
  v1::Assignment order_;
};

TEST_F(GoodputTest, ACrashCostsTheStepUnderWayAndThoseSinceTheCheckpoint) {
  Start();
  agent_->Progress(order_, 20);
  Crash(Time(5));
  RunFrom(11);  // a checkpoint of step 10 was restored
  const v1::JobTime cost = Cost();
  EXPECT_EQ(cost.lost_steps(), 1 + 10);
  EXPECT_THAT(cost.restarts(), testing::UnorderedElementsAre(testing::Pair("trainer_crashed", 1)));
  EXPECT_DOUBLE_EQ(TotalTime(cost).compute(), 5);
}

TEST_F(GoodputTest, AStartLosesNothing) {
  Start();
  const v1::JobTime cost = Cost();
  EXPECT_EQ(cost.lost_steps(), 0);
  EXPECT_TRUE(cost.restarts().empty());
}

TEST_F(GoodputTest, SpellsAddUpOverARestartOfTheCoordinator) {
  Start();
  Crash(Time(5));
  RunFrom(1);
  RestartController();
  agent_ = std::make_unique<FakeAgent>(controller_.get(), "w1", 1);
  auto running = FakeAgent::StatusOf(order_, v1::ASSIGNMENT_STATE_RUNNING);
  running.set_step(40);
  *agent_->registration().add_assignments() = running;
  agent_->Join();
  WaitState(job_, v1::JOB_STATE_RUNNING);
  auto success = FakeAgent::StatusOf(order_, v1::ASSIGNMENT_STATE_SUCCEEDED);
  *success.mutable_time() = Time(7, /*since=*/2);
  agent_->Report(success);
  WaitState(job_, v1::JOB_STATE_SUCCEEDED);
  const auto stored = store_->GetJob(job_);
  ASSERT_TRUE(stored.ok());
  EXPECT_DOUBLE_EQ(TotalTime(stored->time).compute(), 5 + 7);
  EXPECT_EQ(stored->time.lost_steps(), 1 + 1) << "what the restarted coordinator hears is no step done again";
}

TEST_F(GoodputTest, TheEndOfALastSpellCountsThoughTheJobIsFinal) {
  Start();
  auto success = FakeAgent::StatusOf(order_, v1::ASSIGNMENT_STATE_SUCCEEDED);
  *success.mutable_time() = Time(7);
  agent_->Report(success);
  WaitState(job_, v1::JOB_STATE_SUCCEEDED);
  v1::AssignmentStatus later = success;
  *later.mutable_time() = Time(8);
  agent_->Report(later);
  const auto again = [&] {
    const auto stored = store_->GetJob(job_);
    return stored.ok() ? TotalTime(stored->time).compute() : 0;
  };
  agent_->sink().Next(v1::ConnectResponse::kForget);
  agent_->sink().Next(v1::ConnectResponse::kForget);  // sent when the round is on disk
  EXPECT_DOUBLE_EQ(again(), 8);
}

TEST_F(GoodputTest, AHeartbeatIsAnsweredOnlyIfItAsks) {
  agent_->Heartbeat();
  agent_->HeartbeatWithEcho(42);
  EXPECT_EQ(agent_->sink().Next(v1::ConnectResponse::kHeard).heard().echo(), 42);
}

TEST_F(GoodputTest, AJobsWaitIsCountedWhenItStarts) {
  const std::string first = SubmitId(Spec());
  agent_->NextAssignment();
  const QueueWaits waits = controller_->Snapshot().queue_waits;
  EXPECT_LE(std::accumulate(waits.counts.begin(), waits.counts.end(), int64_t{0}), 1);
  job_ = first;
  EXPECT_TRUE(Resume(first).ok());
  const QueueWaits then = controller_->Snapshot().queue_waits;
  EXPECT_EQ(std::accumulate(then.counts.begin(), then.counts.end(), int64_t{0}), 1);
}

}  // namespace
}  // namespace lockstep::goodput_test
