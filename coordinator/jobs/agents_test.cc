// Agents that crash, vanish, return, drain or do not belong here; coordinators that restart.
#include <gmock/gmock.h>

#include <fstream>

#include "common/checkpoint/checkpoint.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/restore.h"
#include "coordinator/jobs/testing.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

class AgentsTest : public ControllerTest {
 protected:
  // A checkpoint of `job` as its trainer would have left it.
  std::string WriteStep(const std::string& job, int64_t step, bool best = false) {
    const std::string directory = CheckpointDirectory(options_.artifact_root, job);
    std::filesystem::create_directories(directory);
    const float weights[4] = {1, 2, 3, 4};
    CheckpointContent content;
    content.manifest.job_id = job;
    content.manifest.step = step;
    content.manifest.best = best;
    content.model = {{"w", DType::kF32, {4}, weights}};
    auto info = WriteCheckpoint(directory, content);
    EXPECT_TRUE(info.ok()) << info.status();
    return info.ok() ? info->path : "";
  }
  void Damage(const std::string& checkpoint) {
    const std::string path = checkpoint + "/model.safetensors";
    const auto size = std::filesystem::file_size(path);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(size) - 1);
    file.put('\x7f');
  }
};

TEST_F(AgentsTest, ACrashIsTheReasonWithItsSignalAndLastLines) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1);
  first.Join();
  second.Join();
  const std::string job = SubmitId(Spec(2, 2));
  const v1::Assignment one = first.Run(), two = second.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  // The peer notices the broken connection first.
  auto secondary = FakeAgent::StatusOf(one, v1::ASSIGNMENT_STATE_INTERRUPTED);
  secondary.set_message("connection closed by peer");
  first.Report(secondary);
  auto crash = FakeAgent::StatusOf(two, v1::ASSIGNMENT_STATE_CRASHED);
  crash.set_signal(9);
  crash.add_log_tail("step 10 loss 0.3");
  crash.add_log_tail("step 20 loss 0.2");
  second.Report(crash);
  const v1::Job recovering = WaitState(job, v1::JOB_STATE_RECOVERING);
  EXPECT_THAT(recovering.reason(),
              HasSubstr(absl::StrCat("trainer of rank ", two.rank(),
                                     " on worker w2 was killed by signal 9 (SIGKILL); last log lines: step "
                                     "10 loss 0.3 | step 20 loss 0.2")));
  EXPECT_EQ(second.sink().Next(v1::ConnectResponse::kForget).forget().generation(), 1);
  EXPECT_EQ(controller_->Snapshot().trainer_crashes_total, 1);
}

TEST_F(AgentsTest, TheLastTrainerThatCrashesQueuesTheJobFromItsNewestCheckpoint) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  const std::string checkpoint = WriteStep(job, 40);
  auto crash = FakeAgent::StatusOf(assignment, v1::ASSIGNMENT_STATE_CRASHED);
  crash.set_exit_code(3);
  agent.Report(crash);
  const v1::Assignment again = agent.NextAssignment();
  EXPECT_EQ(again.generation(), 2);
  EXPECT_EQ(again.restore_from(), checkpoint);
  EXPECT_EQ(again.survivors_size(), 0);
}

TEST_F(AgentsTest, AnErrorOfTheProgramIsTheJobsReason) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1);
  first.Join();
  second.Join();
  const std::string job = SubmitId(Spec(2, 2));
  const v1::Assignment one = first.Run(), two = second.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  auto failure = FakeAgent::StatusOf(one, v1::ASSIGNMENT_STATE_FAILED);
  failure.set_message("loss is NaN at step 5");
  first.Report(failure);
  failure = FakeAgent::StatusOf(two, v1::ASSIGNMENT_STATE_FAILED);
  failure.set_message("peer is gone");
  second.Report(failure);
  EXPECT_THAT(WaitState(job, v1::JOB_STATE_FAILED).reason(), HasSubstr("loss is NaN at step 5"));
}

TEST_F(AgentsTest, AWorkerThatFallsSilentIsLostAndItsJobQueuedAgain) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  clock_.Advance(options_.worker_timeout);
  WaitState(job, v1::JOB_STATE_QUEUED);
  const std::string reason = ReasonOfMove(job, v1::JOB_STATE_QUEUED);
  EXPECT_THAT(reason, HasSubstr("worker w1 (host host-of-w1) was lost: no message for 2s"));
  EXPECT_THAT(reason, HasSubstr("rank 0"));
  EXPECT_EQ(controller_->ListWorkers()[0].state(), v1::WORKER_STATE_LOST);
  EXPECT_EQ(agent.sink().WaitClosed().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(AgentsTest, ABrokenStreamAloneLosesNothing) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  agent.Disconnect();
  *agent.registration().add_assignments() = FakeAgent::StatusOf(assignment, v1::ASSIGNMENT_STATE_RUNNING);
  agent.Connect();
  agent.sink().Next(v1::ConnectResponse::kRegistered);
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_RUNNING);
  agent.Succeed(assignment);
  WaitState(job, v1::JOB_STATE_SUCCEEDED);
}

TEST_F(AgentsTest, AnOrderLostWithTheStreamIsGivenAgain) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  agent.NextAssignment();  // but it never reached the agent, which comes back without it
  agent.Disconnect();
  agent.Connect();
  EXPECT_EQ(agent.NextAssignment().job_id(), job);
}

TEST_F(AgentsTest, ASecondWorkerOfOneNameIsRefused) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w1", 1, "avx2", "w1-other");
  first.Join();
  second.Connect();
  const absl::Status status = second.sink().WaitClosed();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("incarnation w1-1"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("incarnation w1-other"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--name"));
  ASSERT_EQ(controller_->ListWorkers().size(), 1u);
  EXPECT_EQ(controller_->ListWorkers()[0].devices(0).device().profile().instruction_set(), "avx512_core");
}

TEST_F(AgentsTest, TheSameIncarnationReplacesItsOldStream) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  FakeAgent again(controller_.get(), "w1", 1);
  again.Join();
  EXPECT_EQ(agent.sink().WaitClosed().code(), absl::StatusCode::kAborted);
  agent.Disconnect();  // late
  const std::string job = SubmitId(Spec());
  EXPECT_EQ(again.NextAssignment().job_id(), job);
}

TEST_F(AgentsTest, ARestartedAgentTakesOverTheNameOfItsDeadSelf) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  agent.Disconnect();
  FakeAgent anew(controller_.get(), "w1", 1, "avx512_core", "w1-2");
  anew.Join();
  const v1::Assignment again = anew.NextAssignment();
  EXPECT_EQ(again.job_id(), job);
  EXPECT_EQ(again.generation(), 2);
}

TEST_F(AgentsTest, AWorkerOnOtherStorageIsRefused) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.registration().set_artifact_root_id("0000");
  agent.Connect();
  const absl::Status status = agent.sink().WaitClosed();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(options_.artifact_root));
}

TEST_F(AgentsTest, AWorkerGetsNoWorkUntilItHasShownItsStorage) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Connect();
  const auto registered = agent.sink().Next(v1::ConnectResponse::kRegistered).registered();
  EXPECT_EQ(registered.artifact_root(), options_.artifact_root);
  std::ifstream file(options_.artifact_root + "/.lockstep-root");
  std::string id;
  file >> id;
  EXPECT_EQ(registered.artifact_root_id(), id);
  const std::string job = SubmitId(Spec());
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_QUEUED);
  agent.registration().set_artifact_root_id(id);
  agent.SendRegister();
  EXPECT_EQ(agent.NextAssignment().job_id(), job);
}

TEST_F(AgentsTest, AStreamMustBeginWithRegister) {
  auto sink = std::make_shared<FakeSink>();
  const int64_t session = controller_->AgentConnected(sink);
  v1::ConnectRequest heartbeat;
  heartbeat.mutable_heartbeat();
  controller_->AgentMessage(session, heartbeat);
  EXPECT_EQ(sink->WaitClosed().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(AgentsTest, RunningJobsAreAdoptedAfterACoordinatorRestart) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  const auto started = WaitState(job, v1::JOB_STATE_RUNNING).started_at();
  RestartController();
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_RECOVERING);
  FakeAgent again(controller_.get(), "w1", 1);
  *again.registration().add_assignments() = FakeAgent::StatusOf(assignment, v1::ASSIGNMENT_STATE_RUNNING);
  again.Join();
  const v1::Job adopted = WaitState(job, v1::JOB_STATE_RUNNING);
  EXPECT_EQ(adopted.generation(), 1);
  EXPECT_EQ(adopted.started_at().seconds(), started.seconds());
  again.Succeed(assignment);
  WaitState(job, v1::JOB_STATE_SUCCEEDED);
}

TEST_F(AgentsTest, AJobOnSeveralWorkersIsAdoptedWhenTheLastOfThemReports) {
  FakeAgent one(controller_.get(), "w1", 1), two(controller_.get(), "w2", 1);
  one.Join();
  two.Join();
  const std::string job = SubmitId(Spec(2, 2));
  const v1::Assignment first = one.Run(), second = two.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  RestartController();
  FakeAgent one_again(controller_.get(), "w1", 1), two_again(controller_.get(), "w2", 1);
  *one_again.registration().add_assignments() = FakeAgent::StatusOf(first, v1::ASSIGNMENT_STATE_RUNNING);
  *two_again.registration().add_assignments() = FakeAgent::StatusOf(second, v1::ASSIGNMENT_STATE_RUNNING);
  one_again.Join();
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_RECOVERING);
  two_again.Join();
  EXPECT_EQ(WaitState(job, v1::JOB_STATE_RUNNING).generation(), 1);
  two_again.Succeed(second);
  one_again.Succeed(first);
  WaitState(job, v1::JOB_STATE_SUCCEEDED);
}

TEST_F(AgentsTest, AJobThatSucceededWhileTheCoordinatorWasDownIsNotLost) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  RestartController();
  FakeAgent again(controller_.get(), "w1", 1);
  *again.registration().add_assignments() = FakeAgent::StatusOf(assignment, v1::ASSIGNMENT_STATE_SUCCEEDED);
  again.Join();
  WaitState(job, v1::JOB_STATE_SUCCEEDED);
}

TEST_F(AgentsTest, AJobWhoseWorkersDoNotComeBackIsQueuedFromItsNewestCheckpoint) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  const std::string checkpoint = WriteStep(job, 40);
  RestartController();
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_RECOVERING);
  clock_.Advance(options_.adoption_grace);
  WaitState(job, v1::JOB_STATE_QUEUED);
  EXPECT_THAT(ReasonOfMove(job, v1::JOB_STATE_QUEUED), HasSubstr("rank 0 on worker w1 did not report"));
  FakeAgent other(controller_.get(), "w2", 1);
  other.Join();
  const v1::Assignment assignment = other.NextAssignment();
  EXPECT_EQ(assignment.generation(), 2);
  EXPECT_EQ(assignment.restore_from(), checkpoint);
  EXPECT_FALSE(assignment.weights_only());
}

TEST_F(AgentsTest, AReturningAgentWithoutItsTrainerQueuesTheJobAtOnce) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  RestartController();
  FakeAgent again(controller_.get(), "w1", 1, "avx512_core", "w1-2");
  again.Join();
  EXPECT_EQ(again.NextAssignment().generation(), 2);
}

TEST_F(AgentsTest, ACancelWhileRecoveringTakesEffectAtOnce) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  RestartController();
  EXPECT_EQ(Cancel(job)->state(), v1::JOB_STATE_CANCELLED);
  FakeAgent again(controller_.get(), "w1", 1);
  *again.registration().add_assignments() = FakeAgent::StatusOf(assignment, v1::ASSIGNMENT_STATE_RUNNING);
  again.Connect();
  EXPECT_EQ(again.NextStop().mode(), v1::Stop::MODE_ABORT);
}

TEST_F(AgentsTest, AJobThatMakesNoFirstStepFailsAndNamesTheRank) {
  options_.worker_timeout = absl::Hours(1);
  RestartController();
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  agent.Report(agent.NextAssignment(), v1::ASSIGNMENT_STATE_STARTING);
  // Answered after the report was applied.
  ASSERT_TRUE(Resume(job).ok());
  clock_.Advance(options_.start_timeout);
  EXPECT_THAT(WaitState(job, v1::JOB_STATE_FAILED).reason(),
              HasSubstr("rank 0 on worker w1 made no step within 1m"));
}

TEST_F(AgentsTest, ADrainingWorkerGivesItsJobBackWithACheckpoint) {
  FakeAgent first(controller_.get(), "w1", 1);
  first.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = first.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  FakeAgent second(controller_.get(), "w2", 1);
  second.Join();
  first.SendDrain();
  EXPECT_EQ(first.NextStop().mode(), v1::Stop::MODE_PAUSE);
  const std::string checkpoint = WriteStep(job, 12);
  first.Report(assignment, v1::ASSIGNMENT_STATE_STOPPED);
  const v1::Assignment moved = second.NextAssignment();
  EXPECT_EQ(moved.generation(), 2);
  EXPECT_EQ(moved.restore_from(), checkpoint);
}

TEST_F(AgentsTest, StaleReportsChangeNothing) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment old = agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  ASSERT_TRUE(Pause(job).ok());
  agent.Report(old, v1::ASSIGNMENT_STATE_STOPPED);
  WaitState(job, v1::JOB_STATE_PAUSED);
  ASSERT_TRUE(Resume(job).ok());
  const v1::Assignment current = agent.Run();
  agent.Report(old, v1::ASSIGNMENT_STATE_FAILED);
  agent.Progress(old, 999);
  agent.Progress(current, 5);
  WaitFor(job, [](const v1::Job& now) { return now.progress().step() == 5; });
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_RUNNING);
}

TEST_F(AgentsTest, ARankThatTheOthersWaitForIsNamedUntilItIsAsFast) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1);
  first.Join();
  second.Join();
  const std::string job = SubmitId(Spec(2, 2));
  const v1::Assignment one = first.Run(), two = second.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  const auto straggler = [](const v1::Job& now, int rank) { return now.members(rank).straggler(); };
  FakeAgent& slow = one.rank() == 1 ? first : second;
  FakeAgent& fast = one.rank() == 1 ? second : first;
  const v1::Assignment& slow_order = one.rank() == 1 ? one : two;
  const v1::Assignment& fast_order = one.rank() == 1 ? two : one;
  fast.Times(fast_order, 0, 0.004);
  for (int report = 0; report < 2; ++report) slow.Times(slow_order, 0, 0.010);
  WaitFor(job, [](const v1::Job& now) { return now.members(1).has_times(); });
  EXPECT_EQ(straggler(*controller_->GetJob(job), 1), "") << "two reports may be chance";
  v1::Assignment stale = slow_order;
  stale.set_generation(7);
  slow.Times(stale, 0, 0.010);
  stale = slow_order;
  stale.set_rank(9);
  slow.Times(stale, 0, 0.010);
  slow.Times(slow_order, 0, 0.010);
  const v1::Job named = WaitFor(job, [&](const v1::Job& now) { return !straggler(now, 1).empty(); });
  EXPECT_EQ(straggler(named, 1), "compute: 10 ms of a step, the others 4 ms");
  EXPECT_EQ(straggler(named, 0), "");
  const ControllerSnapshot snapshot = controller_->Snapshot();
  ASSERT_EQ(snapshot.ranks.size(), 2u);
  EXPECT_EQ(snapshot.ranks[1].member.times().compute(), 0.010);
  slow.Times(slow_order, 0, 0.004);
  WaitFor(job, [&](const v1::Job& now) { return straggler(now, 1).empty(); });
  ASSERT_TRUE(Cancel(job).ok());
  first.Report(one, v1::ASSIGNMENT_STATE_STOPPED);
  second.Report(two, v1::ASSIGNMENT_STATE_STOPPED);
  WaitState(job, v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(controller_->Snapshot().ranks.empty()) << "its gauges are gone with it";
}

TEST_F(AgentsTest, ADamagedNewestCheckpointIsSkippedAndTheReasonSaysSo) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  const std::string whole = WriteStep(job, 10), damaged = WriteStep(job, 20);
  Damage(damaged);
  auto crash = FakeAgent::StatusOf(assignment, v1::ASSIGNMENT_STATE_CRASHED);
  crash.set_signal(9);
  agent.Report(crash);
  EXPECT_EQ(agent.NextAssignment().restore_from(), whole);
  auto listed = controller_->ListCheckpoints(job);
  ASSERT_TRUE(listed.ok() && listed->size() == 2);
  EXPECT_FALSE(listed->at(0).whole());
  EXPECT_TRUE(listed->at(1).whole());
  auto started = controller_->GetJob(job);
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_THAT(started->reason(), HasSubstr("from the checkpoint at step 10 (refused: "));
}

TEST_F(AgentsTest, ResumeWithoutAnyWholeCheckpointIsRefused) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  Damage(WriteStep(job, 20));
  agent.Report(agent.Run(), v1::ASSIGNMENT_STATE_CRASHED);
  WaitState(job, v1::JOB_STATE_FAILED);
  EXPECT_EQ(Resume(job).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_FAILED);
}

TEST_F(AgentsTest, ANewJobStartsFromAnotherOnesCheckpoint) {
  const std::string source = SubmitId(Spec(1, 1, 0, "source"));
  const std::string best = WriteStep(source, 10, true), newest = WriteStep(source, 20);
  ASSERT_TRUE(Cancel(source).ok());
  FakeAgent agent(controller_.get(), "w1", 3);
  agent.Join();
  v1::JobSpec spec = Spec();
  spec.mutable_from()->set_job("source");
  SubmitId(spec);
  v1::Assignment assignment = agent.NextAssignment();
  EXPECT_EQ(assignment.restore_from(), newest);
  EXPECT_TRUE(assignment.weights_only());
  spec.mutable_from()->set_best(true);
  SubmitId(spec);
  EXPECT_EQ(agent.NextAssignment().restore_from(), best);
  spec.mutable_from()->set_best(false);
  spec.mutable_from()->set_step(15);
  auto wrong = Submit(spec);
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(wrong.status().message()), HasSubstr("it has steps 20, 10"));
  spec.mutable_from()->Clear();
  spec.mutable_from()->set_path(directory_ + "/nothing");
  EXPECT_EQ(Submit(spec).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(AgentsTest, ACheckpointThatCouldNotBeWrittenIsCountedAndTheJobRunsOn) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  v1::CheckpointWritten written;
  written.set_job_id(job);
  written.set_generation(assignment.generation());
  written.mutable_checkpoint()->set_step(30);
  written.set_problem("No space left on device");
  agent.ReportCheckpoint(written);
  const v1::Job warned = WaitFor(
      job, [](const v1::Job& now) { return now.reason().find("No space left") != std::string::npos; });
  EXPECT_EQ(warned.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(controller_->Snapshot().checkpoint_failures_total, 1);
}

}  // namespace
}  // namespace lockstep
