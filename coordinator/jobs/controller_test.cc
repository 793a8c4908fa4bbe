// Jobs from submission to their end: calls, gangs, growth, wishes, subscriptions.
#include "coordinator/jobs/controller.h"

#include <gmock/gmock.h>

#include "coordinator/jobs/testing.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ControllerTest, AJobRunsFromSubmissionToItsModel) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1);
  first.Join();
  second.Join();
  const std::string job = SubmitId(Spec(2, 2));
  const v1::Assignment one = first.NextAssignment(), two = second.NextAssignment();
  EXPECT_EQ(one.job_id(), job);
  EXPECT_EQ(one.generation(), 1);
  EXPECT_EQ(one.world(), 2);
  EXPECT_EQ(one.rank() + two.rank(), 1);
  EXPECT_EQ(one.dataset().fingerprint(), "f00d");
  EXPECT_EQ(one.job_directory(), options_.artifact_root + "/jobs/" + job);
  EXPECT_EQ(one.survivors_size(), 0);
  first.Address(one);
  second.Address(two);
  const auto ready = first.sink().Next(v1::ConnectResponse::kRendezvous).rendezvous();
  EXPECT_THAT(std::vector<std::string>(ready.addresses().begin(), ready.addresses().end()),
              ElementsAre("address of rank 0", "address of rank 1"));
  EXPECT_EQ(second.sink().Next(v1::ConnectResponse::kRendezvous).rendezvous().device(), "cpu:0");
  first.Report(one, v1::ASSIGNMENT_STATE_RUNNING);
  second.Report(two, v1::ASSIGNMENT_STATE_RUNNING);
  const v1::Job running = WaitState(job, v1::JOB_STATE_RUNNING);
  EXPECT_TRUE(running.has_started_at());
  EXPECT_EQ(running.members_size(), 2);
  EXPECT_EQ(running.profile().instruction_set(), "avx512_core");
  FakeAgent& lead = one.rank() == 0 ? first : second;
  lead.Progress(one.rank() == 0 ? one : two, 10);
  WaitFor(job, [](const v1::Job& now) { return now.progress().step() == 10; });
  lead.Succeed(one.rank() == 0 ? one : two);
  const v1::Job done = WaitState(job, v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(done.reason(), "all epochs done");
  EXPECT_EQ(done.metrics().at("test/accuracy"), 0.97);
  EXPECT_EQ(done.model_path(), options_.artifact_root + "/jobs/" + job + "/model");
  EXPECT_TRUE(done.progress().has_first_step_at());
  EXPECT_EQ(lead.sink().Next(v1::ConnectResponse::kForget).forget().job_id(), job);
  ASSERT_EQ(controller_->ListModels().size(), 1u);
  EXPECT_EQ(controller_->ListModels()[0].job_id(), job);
}

TEST_F(ControllerTest, ARepeatedRequestGivesTheFirstJob) {
  auto first = Submit(Spec(), "request-1");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(Submit(Spec(), "request-1")->id(), first->id());
  EXPECT_NE(Submit(Spec(), "request-2")->id(), first->id());
  auto other = Submit(Spec(1, 1, 9), "request-1");
  EXPECT_EQ(other.status().code(), absl::StatusCode::kAlreadyExists) << other.status();
  RestartController();
  EXPECT_EQ(Submit(Spec(), "request-1")->id(), first->id());
  EXPECT_EQ(controller_->ListJobs({})->jobs_size(), 2);
}

TEST_F(ControllerTest, TwoEqualRequestsInOneRoundGiveOneJob) {
  std::promise<Result> promises[2];
  for (auto& promise : promises) {
    controller_->Submit(Spec(), "same", TheDataset(),
                        [&promise](Result r) { promise.set_value(std::move(r)); });
  }
  EXPECT_EQ(promises[0].get_future().get()->id(), promises[1].get_future().get()->id());
}

TEST_F(ControllerTest, AGangWaitsForAllItsDevices) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1);
  first.Join();
  const std::string job = SubmitId(Spec(2, 2));
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_QUEUED);
  WaitFor(job, [](const v1::Job& now) { return now.reason().find("waiting for 2 devices") == 0; });
  second.Join();
  EXPECT_EQ(first.NextAssignment().world(), 2);
  EXPECT_EQ(second.NextAssignment().world(), 2);
}

TEST_F(ControllerTest, UnequalNumericProfilesAreNotMixedAndTheReasonSaysWhy) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1, "avx2");
  first.Join();
  second.Join();
  const std::string job = SubmitId(Spec(2, 2));
  const v1::Job waiting = *controller_->GetJob(job);
  EXPECT_EQ(waiting.state(), v1::JOB_STATE_QUEUED);
  EXPECT_THAT(waiting.reason(), HasSubstr("instruction_set is "));
}

TEST_F(ControllerTest, HigherPriorityStartsFirst) {
  const std::string low = SubmitId(Spec(1, 1, 0, "low")), high = SubmitId(Spec(1, 1, 5, "high"));
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const v1::Assignment assignment = agent.Run();
  EXPECT_EQ(assignment.job_id(), high);
  agent.Succeed(assignment);
  EXPECT_EQ(agent.NextAssignment().job_id(), low);
}

TEST_F(ControllerTest, SeveralJobsRunAtOnceOnDisjointDevices) {
  FakeAgent agent(controller_.get(), "w1", 2);
  agent.Join();
  const std::string a = SubmitId(Spec()), b = SubmitId(Spec());
  const v1::Assignment one = agent.Run(), two = agent.Run();
  EXPECT_EQ(one.job_id(), a);
  EXPECT_EQ(two.job_id(), b);
  EXPECT_NE(one.device(), two.device());
  WaitState(b, v1::JOB_STATE_RUNNING);
  const auto workers = controller_->ListWorkers();
  ASSERT_EQ(workers.size(), 1u);
  EXPECT_EQ(workers[0].devices(0).job_id(), a);
  EXPECT_EQ(workers[0].devices(1).job_id(), b);
  EXPECT_EQ(controller_->Snapshot().devices_busy, 2);
  EXPECT_EQ(controller_->Snapshot().jobs_by_state[v1::JOB_STATE_RUNNING], 2);
}

TEST_F(ControllerTest, ARunningJobGrowsWhenAWorkerJoins) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1);
  first.Join();
  const std::string job = SubmitId(Spec(1, 2));
  const v1::Assignment old = first.Run();
  EXPECT_EQ(old.world(), 1);
  WaitState(job, v1::JOB_STATE_RUNNING);
  second.Join();
  const v1::Assignment newcomer = second.NextAssignment();
  // The old generation steps on, and hears of the new one when the newcomer is prepared.
  first.Progress(old, 6);
  WaitFor(job, [](const v1::Job& now) { return now.progress().step() == 6; });
  second.Address(newcomer);
  const v1::Assignment survivor = first.NextAssignment();
  EXPECT_EQ(survivor.generation(), 2);
  EXPECT_FALSE(survivor.abandon());
  EXPECT_EQ(survivor.rank(), 0);
  EXPECT_EQ(newcomer.rank(), 1);
  EXPECT_THAT(std::vector<int>(newcomer.survivors().begin(), newcomer.survivors().end()), ElementsAre(0));
  // The old generation steps on until all have met.
  first.Progress(old, 7);
  EXPECT_TRUE(WaitFor(job, [](const v1::Job& now) { return now.progress().step() == 7; }).regrouping());
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_RUNNING);
  first.Address(survivor);
  second.sink().Next(v1::ConnectResponse::kRendezvous);
  first.Report(survivor, v1::ASSIGNMENT_STATE_RUNNING);
  second.Report(newcomer, v1::ASSIGNMENT_STATE_RUNNING);
  EXPECT_FALSE(
      WaitFor(job, [](const v1::Job& now) { return now.reason() == "running on 2 devices"; }).regrouping());
  first.Succeed(survivor);
  WaitState(job, v1::JOB_STATE_SUCCEEDED);
}

TEST_F(ControllerTest, ACrashOfTheOnlyHolderOfTheStateQueuesAGrowingJobAgain) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1);
  first.Join();
  const std::string job = SubmitId(Spec(1, 2));
  const v1::Assignment old = first.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  second.Join();
  second.NextAssignment();
  auto crash = FakeAgent::StatusOf(old, v1::ASSIGNMENT_STATE_CRASHED);
  crash.set_signal(11);
  first.Report(crash);
  const v1::Job queued = WaitState(job, v1::JOB_STATE_QUEUED);
  EXPECT_FALSE(queued.regrouping());
  EXPECT_THAT(ReasonOfMove(job, v1::JOB_STATE_QUEUED), HasSubstr("SIGSEGV"));
  EXPECT_EQ(second.NextStop().mode(), v1::Stop::MODE_ABORT);
}

TEST_F(ControllerTest, AQueuedJobIsPausedAndCancelledAtOnce) {
  const std::string job = SubmitId(Spec());
  EXPECT_EQ(Pause(job)->state(), v1::JOB_STATE_PAUSED);
  EXPECT_EQ(Pause(job)->state(), v1::JOB_STATE_PAUSED);
  EXPECT_EQ(Resume(job)->state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Resume(job)->state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Cancel(job)->state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(Cancel("digits")->state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(Pause(job).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Resume(job)->state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Cancel("nobody").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ControllerTest, PauseStopsAtAStepAndResumeStartsAgain) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  auto wished = Pause(job);
  ASSERT_TRUE(wished.ok());
  EXPECT_EQ(wished->state(), v1::JOB_STATE_RUNNING);
  EXPECT_TRUE(wished->pause_requested());
  EXPECT_EQ(agent.NextStop().mode(), v1::Stop::MODE_PAUSE);
  agent.Report(assignment, v1::ASSIGNMENT_STATE_STOPPED);
  const v1::Job paused = WaitState(job, v1::JOB_STATE_PAUSED);
  EXPECT_FALSE(paused.pause_requested());
  EXPECT_EQ(paused.members_size(), 0);
  ASSERT_TRUE(Resume(job).ok());
  EXPECT_EQ(agent.NextAssignment().generation(), 2);
}

TEST_F(ControllerTest, CancelOfARunningJobWaitsForItsTrainers) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  EXPECT_EQ(Cancel(job)->state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(agent.NextStop().mode(), v1::Stop::MODE_CANCEL);
  agent.Report(assignment, v1::ASSIGNMENT_STATE_STOPPED);
  WaitState(job, v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(Cancel(job)->state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(ControllerTest, TrainersThatDoNotStopAreKilledInTheEnd) {
  options_.worker_timeout = absl::Hours(1);
  RestartController();
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  agent.Run();
  WaitState(job, v1::JOB_STATE_RUNNING);
  ASSERT_TRUE(Cancel(job).ok());
  EXPECT_EQ(agent.NextStop().mode(), v1::Stop::MODE_CANCEL);
  clock_.Advance(options_.start_timeout);
  EXPECT_THAT(WaitState(job, v1::JOB_STATE_CANCELLED).reason(), HasSubstr("did not stop"));
  EXPECT_EQ(agent.NextStop().mode(), v1::Stop::MODE_ABORT);
}

TEST_F(ControllerTest, SucceededJobsAreNeitherCancelledNorResumed) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  agent.Succeed(agent.NextAssignment());  // the first step's report was overtaken
  WaitState(job, v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Cancel(job).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Resume(job).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ControllerTest, JobsAreListedInPagesNewestFirst) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(SubmitId(Spec()));
  v1::ListJobsRequest request;
  request.set_page_size(2);
  std::vector<std::string> listed;
  do {
    auto page = controller_->ListJobs(request);
    ASSERT_TRUE(page.ok());
    for (const v1::Job& job : page->jobs()) listed.push_back(job.id());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(listed, ElementsAre(ids[4], ids[3], ids[2], ids[1], ids[0]));
}

TEST_F(ControllerTest, AFailedCommitTellsTheCallerAndLeavesNothing) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  store_->failing = true;
  auto refused = Submit(Spec());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable) << refused.status();
  store_->failing = false;
  EXPECT_EQ(controller_->ListJobs({})->jobs_size(), 0);
  const std::string job = SubmitId(Spec());
  EXPECT_EQ(agent.NextAssignment().job_id(), job);  // and not that of the job that never was
}

TEST_F(ControllerTest, AgentsReportsOutliveAFailedCommit) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.NextAssignment();
  store_->failing = true;
  agent.Report(assignment, v1::ASSIGNMENT_STATE_RUNNING);
  EXPECT_EQ(Pause(job).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_STARTING);
  store_->failing = false;
  EXPECT_FALSE(WaitState(job, v1::JOB_STATE_RUNNING).pause_requested());
}

TEST_F(ControllerTest, FollowedStreamsEndWithTheJob) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  const std::string job = SubmitId(Spec());
  const v1::Assignment assignment = agent.Run();
  agent.Log(job, 1, "before");
  agent.Progress(assignment, 1);
  WaitFor(job, [](const v1::Job& now) { return now.progress().step() == 1; });

  std::mutex mutex;
  std::vector<std::string> lines;
  std::vector<int64_t> steps;
  std::promise<absl::Status> log_end, metric_end;
  std::promise<void> log_begun, metric_begun;
  v1::StreamLogsRequest logs;
  logs.set_job(job);
  logs.set_follow(true);
  auto log_watch = controller_->StreamLogs(
      logs,
      [&](const v1::StreamLogsResponse& response) {
        std::lock_guard<std::mutex> lock(mutex);
        if (lines.empty()) log_begun.set_value();
        for (const v1::LogLine& line : response.lines()) lines.push_back(line.worker() + ": " + line.text());
      },
      [&](absl::Status status) { log_end.set_value(status); });
  v1::StreamMetricsRequest metrics;
  metrics.set_job("digits");
  metrics.set_follow(true);
  auto metric_watch = controller_->StreamMetrics(
      metrics,
      [&](const v1::StreamMetricsResponse& response) {
        std::lock_guard<std::mutex> lock(mutex);
        if (steps.empty()) metric_begun.set_value();
        for (const v1::MetricPoint& point : response.points()) steps.push_back(point.step());
      },
      [&](absl::Status status) { metric_end.set_value(status); });
  log_begun.get_future().wait();
  metric_begun.get_future().wait();
  agent.Log(job, 2, "after");
  agent.Log(job, 2, "after");  // a replay
  agent.Progress(assignment, 2);
  agent.Succeed(assignment);
  EXPECT_TRUE(log_end.get_future().get().ok());
  EXPECT_TRUE(metric_end.get_future().get().ok());
  EXPECT_THAT(lines, ElementsAre("w1: before", "w1: after"));
  EXPECT_THAT(steps, ElementsAre(1, 2));

  // Without follow, and after the end: what is there, then the end.
  std::promise<absl::Status> again;
  logs.set_follow(false);
  logs.set_tail(1);
  lines.clear();
  auto tail = controller_->StreamLogs(
      logs, [&](const v1::StreamLogsResponse& response) { lines.push_back(response.lines(0).text()); },
      [&](absl::Status status) { again.set_value(status); });
  EXPECT_TRUE(again.get_future().get().ok());
  EXPECT_THAT(lines, ElementsAre("after"));
}

TEST_F(ControllerTest, StreamsOfAnUnknownJobEndWithNotFound) {
  std::promise<absl::Status> end;
  auto watch = controller_->WatchJob(
      "nobody", [](const v1::Job&) {}, [&](absl::Status status) { end.set_value(status); });
  EXPECT_EQ(end.get_future().get().code(), absl::StatusCode::kNotFound);
}

TEST_F(ControllerTest, ADroppedSubscriptionHearsNothingMore) {
  const std::string job = SubmitId(Spec());
  std::promise<void> first;
  std::atomic<int> heard{0};
  auto watch = controller_->WatchJob(
      job,
      [&](const v1::Job&) {
        if (heard++ == 0) first.set_value();
      },
      [](absl::Status) {});
  first.get_future().wait();
  watch.reset();
  const int before = heard;
  ASSERT_TRUE(Cancel(job).ok());
  EXPECT_EQ(heard, before);
}

TEST_F(ControllerTest, OpenStreamsAreEndedAtShutdown) {
  const std::string job = SubmitId(Spec());
  std::promise<absl::Status> end;
  std::promise<void> begun;
  auto watch = controller_->WatchJob(
      job, [&](const v1::Job&) { begun.set_value(); }, [&](absl::Status status) { end.set_value(status); });
  begun.get_future().wait();
  controller_.reset();
  EXPECT_EQ(end.get_future().get().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace lockstep
