// Namespaces in the controller: quotas hold against the jobs that there are, through their ends and restarts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/jobs/testing.h"

namespace lockstep::namespaces_jobs_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class NamespacesTest : public ControllerTest {
 protected:
  using NamespaceResult = absl::StatusOr<v1::Namespace>;

  NamespaceResult AwaitNamespace(const std::function<void(Controller::NamespaceCallback)>& call) {
    auto promise = std::make_shared<std::promise<NamespaceResult>>();
    auto future = promise->get_future();
    call([promise](NamespaceResult result) { promise->set_value(std::move(result)); });
    if (future.wait_for(std::chrono::seconds(10)) != std::future_status::ready) {
      return absl::DeadlineExceededError("the call was not answered");
    }
    return future.get();
  }
  NamespaceResult Create(const std::string& name, const v1::Quota& quota = {}) {
    v1::CreateNamespaceRequest request;
    request.set_name(name);
    *request.mutable_quota() = quota;
    return AwaitNamespace([&](auto done) { controller_->CreateNamespace(request, done); });
  }
  NamespaceResult Set(const std::string& name, const v1::Quota& quota) {
    v1::SetNamespaceRequest request;
    request.set_name(name);
    *request.mutable_quota() = quota;
    return AwaitNamespace([&](auto done) { controller_->SetNamespace(request, done); });
  }
  NamespaceResult Delete(const std::string& name) {
    return AwaitNamespace([&](auto done) { controller_->DeleteNamespace(name, done); });
  }
  static v1::Quota OfJobs(int64_t jobs) {
    v1::Quota quota;
    quota.set_jobs(jobs);
    return quota;
  }
  static v1::Quota OfDevices(int64_t devices) {
    v1::Quota quota;
    quota.set_devices(devices);
    return quota;
  }
  Result SubmitTo(const std::string& space, const v1::JobSpec& spec = Spec()) {
    return Submit(spec, "", {space, {}});
  }
  v1::NamespaceUse Use(const std::string& space) {
    auto found = controller_->GetNamespace(space);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? found->use() : v1::NamespaceUse();
  }
  static std::string Message(const absl::Status& status) { return std::string(status.message()); }
};

TEST_F(NamespacesTest, NamespacesAreMadeChangedAndDeletedAndSurviveARestart) {
  ASSERT_TRUE(Create("team-a", OfJobs(3)).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Create("team-a").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Create("Team A").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Create("team-b", OfJobs(-1)).status()));
  EXPECT_EQ(Set("team-a", OfDevices(2))->quota().jobs(), 3) << "what is not named stays";
  EXPECT_TRUE(absl::IsNotFound(Set("team-b", OfJobs(1)).status()));
  RestartController();
  const v1::Namespace space = *controller_->GetNamespace("team-a");
  EXPECT_EQ(space.quota().jobs(), 3);
  EXPECT_EQ(space.quota().devices(), 2);
  EXPECT_EQ(controller_->ListNamespaces()->size(), 2u);
  ASSERT_TRUE(Delete("team-a").ok());
  EXPECT_TRUE(absl::IsNotFound(controller_->GetNamespace("team-a").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Delete("default").status()));
  RestartController();
  EXPECT_EQ(controller_->ListNamespaces()->size(), 1u);
}

TEST_F(NamespacesTest, WhatCouldNotBeStoredIsNotThere) {
  store_->failing = true;
  EXPECT_TRUE(absl::IsUnavailable(Create("team-a").status()));
  store_->failing = false;
  EXPECT_TRUE(absl::IsNotFound(SubmitTo("team-a").status()));
}

TEST_F(NamespacesTest, ANamespaceThatDoesNotExistIsNamedWithTheNearest) {
  ASSERT_TRUE(Create("team-a").ok());
  const absl::Status status = SubmitTo("taem-a").status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(Message(status), AllOf(HasSubstr("'taem-a'"), HasSubstr("did you mean 'team-a'")));
}

TEST_F(NamespacesTest, ANameIsThatOfItsNamespace) {
  ASSERT_TRUE(Create("team-a").ok());
  const std::string mine = SubmitTo("team-a")->id(), older = SubmitTo("default")->id();
  const std::string name = Spec().name();
  EXPECT_EQ(controller_->GetJob(name)->id(), older);
  EXPECT_EQ(controller_->GetJob("team-a/" + name)->id(), mine);
  EXPECT_EQ(controller_->GetJob("team-a/" + mine)->id(), mine);
  EXPECT_EQ(controller_->GetJob(mine)->namespace_(), "team-a");
  EXPECT_EQ(controller_->GetJob(name, {"team-a"})->id(), mine) << "what a bound caller means";
  EXPECT_TRUE(absl::IsNotFound(controller_->GetJob("default/" + mine).status()));
  for (const std::string& reference : {older, "default/" + name, "default/" + older}) {
    const absl::Status other = controller_->GetJob(reference, {"team-a"}).status();
    EXPECT_TRUE(absl::IsNotFound(other)) << reference;
    EXPECT_EQ(Message(other), Message(controller_->GetJob(reference, {"team-b"}).status()))
        << "a job of another namespace and none at all are told in the same words";
  }
  EXPECT_EQ(controller_->ListJobs({}, {"team-a"})->jobs_size(), 1);
  EXPECT_EQ(controller_->ListJobs({})->jobs_size(), 2);
  v1::ListJobsRequest of_default;
  of_default.set_namespace_("default");
  EXPECT_EQ(controller_->ListJobs(of_default)->jobs(0).id(), older);
  EXPECT_TRUE(absl::IsPermissionDenied(controller_->ListJobs(of_default, {"team-a"}).status()));
  of_default.set_namespace_("nowhere");
  EXPECT_TRUE(absl::IsNotFound(controller_->ListJobs(of_default).status()));
  EXPECT_TRUE(Cancel("team-a/" + name).ok());
  EXPECT_EQ(StateOf(mine), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(StateOf(older), v1::JOB_STATE_QUEUED);
}

TEST_F(NamespacesTest, ARequestIdIsANamespacesOwn) {
  ASSERT_TRUE(Create("team-a").ok());
  const auto first = Submit(Spec(), "once", {"team-a", {}}), second = Submit(Spec(), "once", {"default", {}});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->id(), second->id());
  EXPECT_EQ(Submit(Spec(), "once", {"team-a", {}})->id(), first->id());
  EXPECT_NE(Submit(Spec(), "team-a/once", {"default", {}})->id(), first->id()) << "which nobody can guess";
}

TEST_F(NamespacesTest, AJobThatEndedHoldsNothingOfTheQuotaHoweverItEnded) {
  ASSERT_TRUE(Create("team-a", OfJobs(1)).ok());
  const std::string first = SubmitTo("team-a")->id();
  const absl::Status refused = SubmitTo("team-a").status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(Message(refused), AllOf(HasSubstr("namespace team-a"), HasSubstr("1 too many")));
  EXPECT_TRUE(SubmitTo("default").ok()) << "the others' is theirs";
  EXPECT_EQ(Use("team-a").jobs(), 1);
  EXPECT_EQ(Use("team-a").queued_jobs(), 1);
  ASSERT_TRUE(Cancel(first).ok());
  EXPECT_EQ(Use("team-a").jobs(), 0);
  const auto second = SubmitTo("team-a");
  ASSERT_TRUE(second.ok()) << second.status();
  RestartController();  // as after a crash: what is in use is counted anew from the store's jobs
  EXPECT_EQ(Use("team-a").jobs(), 1);
  EXPECT_TRUE(absl::IsResourceExhausted(SubmitTo("team-a").status()));
  EXPECT_TRUE(absl::IsResourceExhausted(Resume(first).status()))
      << "a cancelled one that is resumed counts again";
  EXPECT_EQ(StateOf(first), v1::JOB_STATE_CANCELLED);
  ASSERT_TRUE(Pause(second->id()).ok());
  EXPECT_EQ(Use("team-a").jobs(), 1) << "a paused one is unfinished";
  EXPECT_TRUE(Resume(second->id()).ok());
  ASSERT_TRUE(Cancel(second->id()).ok());
  EXPECT_TRUE(Resume(first).ok());
}

TEST_F(NamespacesTest, ASubmissionThatWasNotStoredHoldsNothing) {
  ASSERT_TRUE(Create("team-a", OfJobs(1)).ok());
  store_->failing = true;
  EXPECT_TRUE(absl::IsUnavailable(SubmitTo("team-a").status()));
  store_->failing = false;
  EXPECT_EQ(Use("team-a").jobs(), 0);
  EXPECT_TRUE(SubmitTo("team-a").ok());
}

TEST_F(NamespacesTest, ANamespaceWithUnfinishedJobsIsNotDeleted) {
  ASSERT_TRUE(Create("team-a").ok());
  const std::string job = SubmitTo("team-a")->id();
  const absl::Status status = Delete("team-a").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(Message(status), HasSubstr("1 unfinished job"));
  ASSERT_TRUE(Cancel(job).ok());
  EXPECT_TRUE(Delete("team-a").ok());
  EXPECT_TRUE(absl::IsNotFound(Resume(job).status())) << "nobody's any more";
  EXPECT_EQ(controller_->GetJob(job)->namespace_(), "team-a") << "but still there";
}

TEST_F(NamespacesTest, StorageThatIsUsedUpRefusesWhatIsNewAndLetsTheRestGoOn) {
  v1::Quota quota;
  quota.set_storage_bytes(1'000);
  ASSERT_TRUE(Create("team-a", quota).ok());
  const std::string job = SubmitTo("team-a")->id();
  Batch batch;
  v1::Checkpoint& checkpoint = batch.checkpoints.emplace_back();
  checkpoint.set_job_id(job);
  checkpoint.set_step(1);
  checkpoint.set_path("/checkpoint");
  checkpoint.set_bytes(1'500);
  ASSERT_TRUE(store_->Commit(batch).ok());
  const absl::Status status = SubmitTo("team-a").status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(Message(status), HasSubstr("500 bytes beyond"));
  EXPECT_EQ(StateOf(job), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Use("team-a").storage_bytes(), 1'500);
  Batch removal;
  removal.removed_checkpoints = {{job, "/checkpoint"}};
  ASSERT_TRUE(store_->Commit(removal).ok());
  EXPECT_TRUE(SubmitTo("team-a").ok());
}

TEST_F(NamespacesTest, JobsRunOneByOneUnderAQuotaOfOneDeviceWhileOthersPassBy) {
  ASSERT_TRUE(Create("team-a", OfDevices(1)).ok());
  FakeAgent agent(controller_.get(), "w1", 3);
  agent.Join();
  const std::string first = SubmitTo("team-a")->id();
  const v1::Assignment of_first = agent.Run();
  EXPECT_EQ(of_first.job_id(), first);
  const std::string second = SubmitTo("team-a")->id(), other = SubmitTo("default")->id();
  EXPECT_EQ(agent.Run().job_id(), other);
  const v1::Job waits = WaitFor(second, [](const v1::Job& job) {
    return job.reason().find("quota of namespace team-a") != std::string::npos;
  });
  EXPECT_THAT(waits.reason(), HasSubstr("1 of its 1 device in use"));
  EXPECT_EQ(Use("team-a").devices(), 1);
  agent.Succeed(of_first);
  WaitState(first, v1::JOB_STATE_SUCCEEDED);
  const v1::Assignment of_second = agent.Run();
  EXPECT_EQ(of_second.job_id(), second);
  const std::string third = SubmitTo("team-a")->id();
  ASSERT_TRUE(Cancel(second).ok());
  agent.NextStop();
  EXPECT_EQ(Use("team-a").devices(), 1) << "until it has stopped";
  agent.Report(of_second, v1::ASSIGNMENT_STATE_STOPPED);
  const v1::Assignment of_third = agent.Run();
  EXPECT_EQ(of_third.job_id(), third);
  const std::string fourth = SubmitTo("team-a")->id();
  ASSERT_TRUE(Set("team-a", OfDevices(2)).ok());
  EXPECT_EQ(agent.Run().job_id(), fourth) << "a larger quota is taken up at once";
  EXPECT_EQ(Use("team-a").devices(), 2);
}

TEST_F(NamespacesTest, AJobThatFailsOrWhoseCoordinatorWasRestartedGivesItsDevicesBack) {
  ASSERT_TRUE(Create("team-a", OfDevices(1)).ok());
  std::string first, second;
  {
    FakeAgent agent(controller_.get(), "w1", 2);
    agent.Join();
    first = SubmitTo("team-a")->id();
    agent.Run();
    WaitState(first, v1::JOB_STATE_RUNNING);
    second = SubmitTo("team-a")->id();
  }
  RestartController();  // and the agent is gone
  EXPECT_EQ(Use("team-a").devices(), 1) << "its trainer may live: it is waited for";
  FakeAgent agent(controller_.get(), "w2", 2);
  agent.Join();
  ASSERT_TRUE(Cancel(first).ok());
  PassWith({&agent}, options_.adoption_grace * 2);
  const v1::Assignment of_second = agent.Run();
  EXPECT_EQ(of_second.job_id(), second);
  EXPECT_EQ(Use("team-a").jobs(), 1);
  const std::string third = SubmitTo("team-a")->id();
  v1::AssignmentStatus failed = FakeAgent::StatusOf(of_second, v1::ASSIGNMENT_STATE_FAILED);
  failed.set_message("the data are wrong");
  agent.Report(failed);
  EXPECT_THAT(agent.Run().job_id(), ::testing::AnyOf(second, third)) << "the device is free again";
}

}  // namespace
}  // namespace lockstep::namespaces_jobs_test
