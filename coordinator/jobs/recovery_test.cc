// Members that are lost one at a time or together: what is left goes on, and nothing else.
#include <gmock/gmock.h>

#include "absl/synchronization/notification.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/testing.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int> Survivors(const v1::Assignment& assignment) {
  return {assignment.survivors().begin(), assignment.survivors().end()};
}

class RecoveryTest : public ControllerTest {
 protected:
  RecoveryTest() : first_(controller_.get(), "w1", 1), second_(controller_.get(), "w2", 1) {
    first_.Join();
    second_.Join();
  }
  // A job on both workers, after its first step.
  void Run(int min, int max = 2) {
    job_ = SubmitId(Spec(min, max));
    one_ = first_.Run();
    two_ = second_.Run();
    WaitFor(job_, [](const v1::Job& now) {
      return now.state() == v1::JOB_STATE_RUNNING && now.members_size() == 2;
    });
    ASSERT_TRUE(Sync());
  }
  // Everything that was reported before has been applied.
  bool Sync() { return Resume(job_).ok(); }
  // Time goes by; what was reported before belongs to its beginning, and both workers stay.
  void Pass(absl::Duration time) {
    PassWith({&first_, &second_}, time);
    ASSERT_TRUE(Sync());
  }
  static v1::AssignmentStatus Killed(const v1::Assignment& assignment) {
    v1::AssignmentStatus crash = FakeAgent::StatusOf(assignment, v1::ASSIGNMENT_STATE_CRASHED);
    crash.set_signal(9);
    return crash;
  }
  static v1::AssignmentStatus Interrupted(const v1::Assignment& assignment, int64_t step) {
    v1::AssignmentStatus status = FakeAgent::StatusOf(assignment, v1::ASSIGNMENT_STATE_INTERRUPTED);
    status.set_step(step);
    status.set_message("lost rank 1");
    return status;
  }

  FakeAgent first_, second_;
  std::string job_;
  int64_t step_ = 0;
  v1::Assignment one_, two_;
};

TEST_F(RecoveryTest, SurvivorsGoOnAtOnceAndTheReplacementJoinsLater) {
  Run(1);
  second_.Report(Killed(two_));
  const v1::Assignment alone = first_.NextAssignment();
  EXPECT_EQ(alone.generation(), 2);
  EXPECT_EQ(alone.world(), 1);
  EXPECT_TRUE(alone.abandon());
  EXPECT_THAT(Survivors(alone), ElementsAre(0));
  EXPECT_THAT(WaitState(job_, v1::JOB_STATE_RECOVERING).reason(), HasSubstr("SIGKILL"));
  first_.Address(alone);
  first_.Report(alone, v1::ASSIGNMENT_STATE_RUNNING);
  WaitState(job_, v1::JOB_STATE_RUNNING);
  const v1::Assignment replacement = second_.NextAssignment();
  EXPECT_EQ(replacement.generation(), 3);
  EXPECT_EQ(replacement.rank(), 1);
  EXPECT_THAT(Survivors(replacement), ElementsAre(0));
}

TEST_F(RecoveryTest, BelowTheMinimumTheDeviceOfTheDeadIsUsedAtOnce) {
  Run(2);
  first_.Report(Killed(one_));
  const v1::Assignment survivor = second_.NextAssignment(), newcomer = first_.NextAssignment();
  EXPECT_EQ(survivor.world(), 2);
  EXPECT_EQ(survivor.rank(), 0) << "the survivors come first";
  EXPECT_TRUE(survivor.abandon());
  EXPECT_THAT(Survivors(newcomer), ElementsAre(0));
}

TEST_F(RecoveryTest, BelowTheMinimumItWaitsForAWorkerWithItsStateHeld) {
  Run(2);
  clock_.Advance(options_.worker_timeout / 2);
  first_.Heartbeat();
  ASSERT_TRUE(Sync());
  clock_.Advance(options_.worker_timeout / 2);
  first_.Heartbeat();
  const v1::Job waiting = WaitFor(job_, [](const v1::Job& now) {
    return now.state() == v1::JOB_STATE_RECOVERING && now.reason().find("1 left") != std::string::npos;
  });
  EXPECT_THAT(waiting.reason(), HasSubstr("w2"));
  first_.Report(Interrupted(one_, 12));
  clock_.Advance(options_.worker_timeout / 2);  // longer than the patience with a lost peer
  first_.Heartbeat();
  ASSERT_TRUE(Sync());
  EXPECT_EQ(StateOf(job_), v1::JOB_STATE_RECOVERING);
  FakeAgent third(controller_.get(), "w3", 1);
  third.Join();
  const v1::Assignment newcomer = third.NextAssignment(), survivor = first_.NextAssignment();
  EXPECT_EQ(newcomer.generation(), 2);
  EXPECT_THAT(Survivors(newcomer), ElementsAre(0));
  first_.Address(survivor);
  third.Address(newcomer);
  first_.Report(survivor, v1::ASSIGNMENT_STATE_RUNNING);
  EXPECT_EQ(StateOf(job_), v1::JOB_STATE_RECOVERING) << "the newcomer has made no step";
  third.Report(newcomer, v1::ASSIGNMENT_STATE_RUNNING);
  WaitState(job_, v1::JOB_STATE_RUNNING);
  first_.Succeed(survivor);
  WaitState(job_, v1::JOB_STATE_SUCCEEDED);
}

TEST_F(RecoveryTest, ALostPeerAndAClosedStreamAreADeadNodeAtOnce) {
  Run(1);
  second_.Disconnect();
  ASSERT_TRUE(Sync());
  EXPECT_EQ(StateOf(job_), v1::JOB_STATE_RUNNING) << "a closed stream alone loses nobody";
  first_.Report(Interrupted(one_, 12));
  EXPECT_EQ(first_.NextAssignment().world(), 1);
}

TEST_F(RecoveryTest, ALostConnectionThatNothingExplainsIsMendedWithAllMembers) {
  Run(2);
  first_.Report(Interrupted(one_, 12));
  second_.Report(Interrupted(two_, 11));
  ASSERT_TRUE(Sync());
  EXPECT_EQ(StateOf(job_), v1::JOB_STATE_RUNNING);
  clock_.Advance(options_.lost_peer_patience);
  EXPECT_EQ(first_.NextAssignment().generation(), 2);
  EXPECT_EQ(second_.NextAssignment().world(), 2);
}

TEST_F(RecoveryTest, AMemberThatDiesWhileTheNextGenerationFormsIsLeftOutOfTheOneAfter) {
  FakeAgent third(controller_.get(), "w3", 1);
  third.Join();
  job_ = SubmitId(Spec(1, 3));
  one_ = first_.Run();
  two_ = second_.Run();
  const v1::Assignment three = third.Run();
  WaitState(job_, v1::JOB_STATE_RUNNING);
  ASSERT_TRUE(Sync());
  third.Report(Killed(three));
  const v1::Assignment next = second_.NextAssignment();
  EXPECT_EQ(first_.NextAssignment().generation(), 2);
  second_.Report(Killed(next));
  const v1::Assignment last = first_.NextAssignment();
  EXPECT_EQ(last.generation(), 3);
  EXPECT_EQ(last.world(), 1);
}

TEST_F(RecoveryTest, FailuresInARowEndTheJobAndProgressStartsTheCountAnew) {
  options_.failures_in_a_row = 2;
  RestartController();
  FakeAgent agent(controller_.get(), "w9", 1);
  agent.Join();
  job_ = SubmitId(Spec());
  v1::Assignment assignment = agent.Run();
  agent.Progress(assignment, 10);
  agent.Report(Killed(assignment));  // the first without a step beyond 10
  assignment = agent.Run();
  agent.Progress(assignment, 9);
  agent.Report(Killed(assignment));  // the second
  assignment = agent.Run();
  agent.Progress(assignment, 11);
  agent.Report(Killed(assignment));  // the first without a step beyond 11
  agent.Report(Killed(agent.NextAssignment()));
  agent.Report(Killed(agent.NextAssignment()));
  const v1::Job failed = WaitState(job_, v1::JOB_STATE_FAILED);
  EXPECT_THAT(failed.reason(), HasSubstr("gave up after 3 failures in a row without a new step"));
  EXPECT_THAT(failed.reason(), HasSubstr("SIGKILL"));
  EXPECT_EQ(failed.generation(), 5);
}

// After a restore the steps are done again: what fails there, but further on each time, is not stuck.
TEST_F(RecoveryTest, FailuresThatGetFurtherThroughOldStepsDoNotEndTheJob) {
  options_.failures_in_a_row = 2;
  RestartController();
  FakeAgent agent(controller_.get(), "w9", 1);
  agent.Join();
  job_ = SubmitId(Spec());
  v1::Assignment assignment = agent.Run();
  agent.Progress(assignment, 1000);
  agent.Report(Killed(assignment));
  for (const int64_t step : {100, 200, 300, 400, 500}) {
    assignment = agent.Run();
    agent.Progress(assignment, step);
    agent.Report(Killed(assignment));
  }
  assignment = agent.Run();  // four would have been too many
  agent.Progress(assignment, 450);
  agent.Report(Killed(assignment));  // and now it has come less far than the one before
  EXPECT_THAT(WaitState(job_, v1::JOB_STATE_FAILED).reason(), HasSubstr("gave up after 3 failures"));
}

TEST_F(RecoveryTest, AWorkerThatFailsThriceWithinAnHourGetsNoMoreWork) {
  Run(1);
  const auto cordoned = [&] {
    for (const v1::Worker& worker : controller_->ListWorkers()) {
      if (worker.name() == "w2") return worker.devices(0).cordoned();
    }
    return std::string("no such worker");
  };
  // w2 dies, w1 goes on alone, w2 joins again; a step in between.
  const auto die = [&] {
    first_.Progress(one_, ++step_);
    second_.Report(Killed(two_));
    one_ = first_.NextAssignment();
    EXPECT_EQ(one_.world(), 1);
    first_.Address(one_);
    first_.Report(one_, v1::ASSIGNMENT_STATE_RUNNING);
    ASSERT_TRUE(Sync());
  };
  const auto join = [&] {
    two_ = second_.Run();
    one_ = first_.NextAssignment();
    first_.Report(one_, v1::ASSIGNMENT_STATE_RUNNING);
    WaitFor(job_, [](const v1::Job& now) {
      return now.state() == v1::JOB_STATE_RUNNING && now.members_size() == 2;
    });
  };
  die();
  join();
  Pass(absl::Minutes(50));
  die();
  join();
  Pass(absl::Minutes(20));
  die();  // the third, but the first is more than an hour ago
  EXPECT_EQ(cordoned(), "");
  join();
  Pass(absl::Minutes(1));
  die();
  WaitFor(job_, [](const v1::Job& now) { return now.members_size() == 1; });
  EXPECT_THAT(cordoned(), AllOf(HasSubstr("failed 3 times within an hour"), HasSubstr("SIGKILL")));
  EXPECT_TRUE(Scale(job_, 2).ok());
  EXPECT_EQ(controller_->GetJob(job_)->members_size(), 1) << "it was given work again";
}

TEST_F(RecoveryTest, AJobThatFailsWithoutAStepDoesNotTakeItsWorkersWithIt) {
  options_.failures_in_a_row = 8;
  RestartController();
  FakeAgent agent(controller_.get(), "w9", 1);
  agent.Join();
  job_ = SubmitId(Spec());
  v1::Assignment assignment = agent.Run();
  for (int failure = 0; failure < 6; ++failure) {
    agent.Report(Killed(assignment));
    assignment = agent.Run();
  }
  for (const v1::Worker& worker : controller_->ListWorkers()) EXPECT_EQ(worker.devices(0).cordoned(), "");
}

TEST_F(RecoveryTest, TheEndOfAnEarlierProcessOnADeviceIsNotTheNewcomers) {
  Run(2);
  second_.Report(Killed(two_));
  const v1::Assignment newcomer = second_.NextAssignment(), survivor = first_.NextAssignment();
  second_.Report(Killed(two_));  // repeated: its acknowledgement was lost
  first_.Address(survivor);
  second_.Address(newcomer);
  first_.Report(survivor, v1::ASSIGNMENT_STATE_RUNNING);
  second_.Report(newcomer, v1::ASSIGNMENT_STATE_RUNNING);
  EXPECT_EQ(WaitState(job_, v1::JOB_STATE_RUNNING).generation(), 2);
}

TEST_F(RecoveryTest, ADeviceWhoseTrainerCannotServeTheJobIsAvoided) {
  Run(1, 3);
  FakeAgent third(controller_.get(), "w3", 1);
  third.Join();
  const v1::Assignment newcomer = third.NextAssignment();
  auto refusal = FakeAgent::StatusOf(newcomer, v1::ASSIGNMENT_STATE_FAILED);
  refusal.set_message("the dataset cannot be read here");
  third.Report(refusal);
  const v1::Job now = WaitFor(job_, [](const v1::Job& job) { return job.members_size() == 2; });
  EXPECT_EQ(now.state(), v1::JOB_STATE_RUNNING);
  FakeAgent fourth(controller_.get(), "w4", 1);
  fourth.Join();
  EXPECT_EQ(fourth.NextAssignment().generation(), 3) << "the next try skips w3";
}

TEST_F(RecoveryTest, AJobOnADeviceWhereNoTrainerLivesGoesElsewhere) {
  RestartController();
  FakeAgent only(controller_.get(), "w8", 1);
  only.Join();
  job_ = SubmitId(Spec());
  auto refusal = FakeAgent::StatusOf(only.NextAssignment(), v1::ASSIGNMENT_STATE_FAILED);
  refusal.set_message("slot cpu:0 is broken");
  refusal.set_unfit(true);
  only.Report(refusal);
  WaitState(job_, v1::JOB_STATE_QUEUED);
  FakeAgent another(controller_.get(), "w9", 1);
  another.Join();
  another.Run();
  WaitState(job_, v1::JOB_STATE_RUNNING);
}

TEST_F(RecoveryTest, ACoordinatorRestartInTheMiddleOfARecoveryLosesNoState) {
  Run(2);
  second_.Report(Killed(two_));
  first_.NextAssignment();  // generation 2 is on disk; suppose that the order was lost
  RestartController();
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1);
  *first.registration().add_assignments() = Interrupted(one_, 12);
  *second.registration().add_assignments() = Killed(two_);
  first.Join();
  second.Join();
  const v1::Assignment survivor = first.NextAssignment(), newcomer = second.NextAssignment();
  EXPECT_EQ(survivor.generation(), 3);
  EXPECT_THAT(Survivors(newcomer), ElementsAre(survivor.rank()));
}

TEST_F(RecoveryTest, AfterACoordinatorRestartThoseThatReportGoOnWithoutTheMissing) {
  Run(1);
  RestartController();
  FakeAgent first(controller_.get(), "w1", 1);
  *first.registration().add_assignments() = FakeAgent::StatusOf(one_, v1::ASSIGNMENT_STATE_RUNNING);
  first.Join();
  EXPECT_EQ(StateOf(job_), v1::JOB_STATE_RECOVERING);
  PassWith({&first}, options_.adoption_grace);
  const v1::Assignment alone = first.NextAssignment();
  EXPECT_EQ(alone.generation(), 2);
  EXPECT_EQ(alone.world(), 1);
  EXPECT_THAT(Survivors(alone), ElementsAre(0));
}

TEST_F(RecoveryTest, ADrainingWorkerLeavesAtABoundaryAndTheOthersChangeOver) {
  Run(1);
  second_.SendDrain();
  const v1::Stop stop = second_.NextStop();
  EXPECT_EQ(stop.mode(), v1::Stop::MODE_LEAVE);
  const v1::Assignment alone = first_.NextAssignment();
  EXPECT_EQ(alone.generation(), 2);
  EXPECT_EQ(alone.world(), 1);
  EXPECT_FALSE(alone.abandon());
  second_.Report(two_, v1::ASSIGNMENT_STATE_RUNNING);  // it still steps in its generation
  second_.Report(two_, v1::ASSIGNMENT_STATE_STOPPED);
  first_.Address(alone);
  first_.Report(alone, v1::ASSIGNMENT_STATE_RUNNING);
  const v1::Job shrunk =
      WaitFor(job_, [](const v1::Job& now) { return now.reason() == "running on 1 device"; });
  EXPECT_EQ(shrunk.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(controller_->Snapshot().devices_busy, 1);
}

TEST_F(RecoveryTest, ACorruptDeviceIsNamedAndQuarantinedUntilSomebodyPutsItBack) {
  Run(1);
  auto corrupt = FakeAgent::StatusOf(two_, v1::ASSIGNMENT_STATE_CRASHED);
  corrupt.set_corrupt(true);
  corrupt.set_message("after step 7 this rank's weights are not those of the others");
  second_.Report(corrupt);
  first_.Report(one_, v1::ASSIGNMENT_STATE_INTERRUPTED);
  const v1::Assignment alone = first_.NextAssignment();
  EXPECT_EQ(alone.generation(), 2);
  EXPECT_EQ(alone.world(), 1) << "the corrupt device was taken again";
  EXPECT_THAT(Survivors(alone), ElementsAre(0));
  first_.Address(alone);
  first_.Report(alone, v1::ASSIGNMENT_STATE_RUNNING);
  const v1::Job running = WaitFor(
      job_, [](const v1::Job& now) { return now.state() == v1::JOB_STATE_RUNNING && now.generation() == 2; });
  EXPECT_THAT(running.reason(), HasSubstr("weights are not those of the others"));
  const auto cordoned = [&] {
    for (const v1::Worker& worker : controller_->ListWorkers()) {
      if (worker.name() == "w2") return worker.devices(0).cordoned();
    }
    return std::string("no such worker");
  };
  EXPECT_THAT(cordoned(), HasSubstr("after step 7"));
  v1::UncordonWorkerRequest request;
  request.set_worker("w2");
  absl::Notification done;
  controller_->Uncordon(request, [&](absl::StatusOr<std::vector<v1::Cordon>> removed) {
    EXPECT_TRUE(removed.ok() && removed->size() == 1u && removed->front().automatic());
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_EQ(cordoned(), "");
  EXPECT_EQ(second_.NextAssignment().generation(), 3) << "it is to grow onto the device again";
}

TEST_F(ControllerTest, ACordonOutlivesTheCoordinator) {
  {
    FakeAgent agent(controller_.get(), "w1", 1);
    agent.Join();
    v1::CordonWorkerRequest request;
    request.set_worker("w1");
    request.set_reason("memory test");
    absl::Notification done;
    controller_->Cordon(request, [&](const auto& cordoned) {
      EXPECT_TRUE(cordoned.ok());
      done.Notify();
    });
    done.WaitForNotification();
  }
  RestartController();
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  ASSERT_EQ(controller_->ListWorkers().size(), 1u);
  EXPECT_EQ(controller_->ListWorkers().front().devices(0).cordoned(), "memory test");
}

TEST_F(RecoveryTest, AJobIsScaledDownAtABoundaryAndUpAgain) {
  Run(2);  // fewer than the spec's minimum may be asked for
  EXPECT_EQ(Scale(job_, 1)->workers_wanted(), 1);
  EXPECT_EQ(second_.NextStop().mode(), v1::Stop::MODE_LEAVE);
  const v1::Assignment alone = first_.NextAssignment();
  EXPECT_FALSE(alone.abandon());
  second_.Report(two_, v1::ASSIGNMENT_STATE_STOPPED);
  first_.Address(alone);
  first_.Report(alone, v1::ASSIGNMENT_STATE_RUNNING);
  WaitFor(job_, [](const v1::Job& now) { return now.reason() == "running on 1 device"; });
  FakeAgent third(controller_.get(), "w3", 1);
  third.Join();
  ASSERT_TRUE(Scale(job_, 3).ok());
  EXPECT_EQ(second_.NextAssignment().world(), 3);
  EXPECT_EQ(third.NextAssignment().generation(), 3);
}

TEST_F(RecoveryTest, AHigherPriorityTakesDevicesByShrinkingOthers) {
  Run(1);
  const std::string urgent = SubmitId(Spec(1, 1, 10, "urgent"));
  EXPECT_EQ(second_.NextStop().mode(), v1::Stop::MODE_LEAVE);
  second_.Report(two_, v1::ASSIGNMENT_STATE_STOPPED);
  EXPECT_EQ(second_.NextAssignment().job_id(), urgent);
  EXPECT_EQ(StateOf(job_), v1::JOB_STATE_RUNNING);
}

TEST_F(RecoveryTest, AHigherPriorityPreemptsWhereShrinkingIsNotEnough) {
  Run(2);
  const std::string urgent = SubmitId(Spec(2, 2, 10, "urgent"));
  for (FakeAgent* agent : {&first_, &second_}) EXPECT_EQ(agent->NextStop().mode(), v1::Stop::MODE_PAUSE);
  EXPECT_THAT(
      WaitFor(job_, [](const v1::Job& now) { return now.reason() != "running on 2 devices"; }).reason(),
      HasSubstr("writing a checkpoint at the next step, to give its devices to urgent"));
  first_.Report(one_, v1::ASSIGNMENT_STATE_STOPPED);
  second_.Report(two_, v1::ASSIGNMENT_STATE_STOPPED);
  const v1::Assignment one = first_.NextAssignment(), two = second_.NextAssignment();
  EXPECT_EQ(one.job_id(), urgent);
  EXPECT_EQ(StateOf(job_), v1::JOB_STATE_QUEUED);
  first_.Address(one);
  first_.Report(one, v1::ASSIGNMENT_STATE_RUNNING);
  second_.Report(two, v1::ASSIGNMENT_STATE_RUNNING);
  first_.Succeed(one);
  second_.Report(two, v1::ASSIGNMENT_STATE_SUCCEEDED);
  EXPECT_EQ(first_.NextAssignment().job_id(), job_);
}

TEST_F(RecoveryTest, ScalingBeyondTheShardsOrAFinalJobIsRefused) {
  Run(1);
  EXPECT_EQ(Scale(job_, 0).status().code(), absl::StatusCode::kInvalidArgument);
  const auto nine = Scale(job_, 9).status();
  EXPECT_EQ(nine.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(nine.message()), HasSubstr("expected 1 to 8"));
  first_.Succeed(one_);
  WaitState(job_, v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Scale(job_, 1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Scale("nobody", 1).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RecoveryTest, AnOrderThatADrainingWorkerRefusesDoesNotFailTheJob) {
  job_ = SubmitId(Spec(2, 2));
  const v1::Assignment one = first_.NextAssignment(), two = second_.NextAssignment();
  second_.SendDrain();
  second_.Report(two, v1::ASSIGNMENT_STATE_FAILED);
  FakeAgent third(controller_.get(), "w3", 1);
  third.Join();
  first_.Report(one, v1::ASSIGNMENT_STATE_STOPPED);
  EXPECT_EQ(third.NextAssignment().job_id(), job_);
}

TEST_F(RecoveryTest, ACancelledJobIsNotRecovered) {
  Run(2);
  ASSERT_TRUE(Cancel(job_).ok());
  second_.Report(Killed(two_));
  WaitState(job_, v1::JOB_STATE_CANCELLED);
}

}  // namespace
}  // namespace lockstep
