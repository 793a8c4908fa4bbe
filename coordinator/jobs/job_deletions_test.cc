// Jobs that have ended are deleted, with their files, through restarts and failures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "coordinator/jobs/job_files.h"
#include "coordinator/jobs/testing.h"

namespace lockstep::job_deletions_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class DeletionsTest : public ControllerTest {
 protected:
  using Deleted = absl::StatusOr<Controller::Deleted>;

  Deleted Delete(const std::string& job, bool keep_model = false) {
    auto promise = std::make_shared<std::promise<Deleted>>();
    auto future = promise->get_future();
    controller_->Delete(job, keep_model,
                        [promise](Deleted result) { promise->set_value(std::move(result)); });
    if (future.wait_for(std::chrono::seconds(10)) != std::future_status::ready) {
      return absl::DeadlineExceededError("the call was not answered");
    }
    return future.get();
  }
  std::string Folder(const std::string& job) { return options_.artifact_root + "/jobs/" + job; }
  bool Exists(const std::string& path) { return std::filesystem::exists(path); }
  // A cancelled job with a checkpoint and a model of 1,000 bytes each.
  std::string Ended(const v1::JobSpec& spec = Spec()) {
    const std::string id = SubmitId(spec);
    EXPECT_TRUE(Cancel(id).ok());
    for (const char* file : {"/checkpoints/step-5/state", "/model/model.safetensors"}) {
      std::filesystem::create_directories(std::filesystem::path(Folder(id) + file).parent_path());
      std::ofstream(Folder(id) + file) << std::string(1'000, 'x');
    }
    return id;
  }
};

TEST_F(DeletionsTest, ADeletedJobIsGoneFromDiskAndFromEveryAnswer) {
  const std::string id = Ended(), other = Ended();
  const int64_t revision = controller_->ChangedJobs(0).revision;
  const Deleted deleted = Delete(id);
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->job.id(), id);
  EXPECT_EQ(deleted->freed_bytes, 2'000);
  EXPECT_FALSE(Exists(Folder(id)));
  EXPECT_TRUE(Exists(Folder(other) + "/model/model.safetensors"));
  EXPECT_TRUE(absl::IsNotFound(controller_->GetJob(id).status()));
  EXPECT_EQ(controller_->ListJobs({})->jobs_size(), 1);
  EXPECT_EQ(controller_->Snapshot().jobs_by_state[v1::JOB_STATE_CANCELLED], 1);
  EXPECT_EQ(controller_->ChangedJobs(revision).jobs, std::vector<std::string>{id});
  EXPECT_TRUE(absl::IsNotFound(Delete(id).status()));
  RestartController();
  EXPECT_EQ(controller_->Snapshot().jobs_by_state[v1::JOB_STATE_CANCELLED], 1);
  EXPECT_NE(SubmitId(Spec()), id);
}

TEST_F(DeletionsTest, TheModelStaysWhereItIsIfAskedFor) {
  const std::string id = Ended();
  const Deleted deleted = Delete(id, true);
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->freed_bytes, 1'000);
  EXPECT_TRUE(Exists(Folder(id) + "/model/model.safetensors"));
  EXPECT_FALSE(Exists(Folder(id) + "/checkpoints"));
  EXPECT_TRUE(absl::IsNotFound(controller_->GetJob(id).status()));
}

TEST_F(DeletionsTest, AJobThatHasNotEndedIsRefusedWithWhatToDo) {
  const std::string id = SubmitId(Spec());
  const absl::Status status = Delete(id).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("queued"), HasSubstr("lockstep cancel " + id)));
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_QUEUED);
}

TEST_F(DeletionsTest, AJobWhoseLastTrainerIsJustEndingIsToBeDeletedThen) {
  FakeAgent first(controller_.get(), "w1", 1), second(controller_.get(), "w2", 1);
  first.Join();
  second.Join();
  const std::string id = SubmitId(Spec(2, 2));
  const v1::Assignment one = first.NextAssignment(), two = second.NextAssignment();
  first.Address(one);
  second.Address(two);
  first.Report(one, v1::ASSIGNMENT_STATE_RUNNING);
  second.Report(two, v1::ASSIGNMENT_STATE_RUNNING);
  WaitState(id, v1::JOB_STATE_RUNNING);
  const bool first_leads = one.rank() == 0;
  (first_leads ? first : second).Succeed(first_leads ? one : two);
  WaitState(id, v1::JOB_STATE_SUCCEEDED);
  const absl::Status status = Delete(id).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(first_leads ? "w2" : "w1"));
  FakeAgent& other = first_leads ? second : first;
  other.Succeed(first_leads ? two : one);
  other.sink().Next(v1::ConnectResponse::kForget);
  EXPECT_TRUE(Delete(id).ok());
}

TEST_F(DeletionsTest, WhatAnUnfinishedJobBeginsFromStays) {
  const std::string id = Ended();
  const auto store_job = [&](const std::string& path) {
    Batch batch;
    StoredJob& stored = batch.jobs.emplace_back();
    stored.job.set_id("00000000000001");
    stored.job.set_name("finetune");
    stored.job.set_state(v1::JOB_STATE_PAUSED);
    stored.job.set_dataset_version("toy@1");
    stored.from_path = path;
    ASSERT_TRUE(store_->Commit(batch).ok());
    RestartController();
  };
  store_job(Folder(id) + "/checkpoints/step-5");
  const absl::Status status = Delete(id).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("00000000000001 (finetune)"));
  EXPECT_TRUE(Exists(Folder(id) + "/checkpoints/step-5"));
  store_job(Folder(id) + "/model");
  EXPECT_TRUE(absl::IsFailedPrecondition(Delete(id).status()));
  EXPECT_TRUE(Delete(id, true).ok()) << "the model stays";
}

TEST_F(DeletionsTest, ADeletionThatADeathInterruptedIsEndedAfterTheRestart) {
  const std::string id = Ended(), other = Ended();
  Batch mark;
  mark.deletions = {{id, true}};
  ASSERT_TRUE(store_->Commit(mark).ok());
  RestartController();
  for (int i = 0; i < 1'000 && controller_->GetJob(id).ok(); ++i) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_TRUE(absl::IsNotFound(controller_->GetJob(id).status()));
  EXPECT_FALSE(Exists(Folder(id) + "/checkpoints"));
  EXPECT_TRUE(Exists(Folder(id) + "/model")) << "as it was asked for";
  EXPECT_TRUE(controller_->GetJob(other).ok());
  EXPECT_TRUE(store_->LoadDeletions()->empty());
}

TEST_F(DeletionsTest, NothingGoesBeforeTheMarkIsOnDisk) {
  const std::string id = Ended();
  store_->failing = true;
  const absl::Status status = Delete(id).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(Exists(Folder(id) + "/checkpoints"));
  store_->failing = false;
  EXPECT_TRUE(controller_->GetJob(id).ok());
  EXPECT_TRUE(Delete(id).ok());
  EXPECT_FALSE(Exists(Folder(id)));
}

TEST_F(DeletionsTest, LinksAreRemovedAndNotFollowed) {
  const std::string id = Ended(), outside = directory_ + "/outside";
  std::filesystem::create_directories(outside);
  std::ofstream(outside + "/kept") << "text";
  std::filesystem::create_directory_symlink(outside, Folder(id) + "/link");
  EXPECT_EQ(Delete(id)->freed_bytes, 2'000);
  EXPECT_TRUE(Exists(outside + "/kept"));
}

TEST(JobFiles, WhatCannotBeRemovedIsNamed) {
  const std::string name(300, 'x');  // longer than a file system takes
  const std::string root = ::testing::TempDir() + "/unremovable";
  std::filesystem::create_directories(root + "/jobs");
  const absl::Status status = RemoveJobFiles(root, name, false).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("/jobs/" + name), HasSubstr("lockstep delete")));
  EXPECT_EQ(*RemoveJobFiles(root, "nothing", false), 0);
  std::filesystem::remove_all(root);
}

TEST(JobFiles, APathIsOfTheJobWhoseFolderItIsIn) {
  EXPECT_EQ(JobOfPath("/root", "/root/jobs/b/checkpoints/step-5"), "b");
  EXPECT_EQ(JobOfPath("/root/", "/root/./jobs/a/../b"), "b");
  for (const char* path :
       {"", "/root", "/root/jobs", "/root/jobs/", "/rooted/jobs/b", "/root/jobs/../x/b", "/x"})
    EXPECT_EQ(JobOfPath("/root", path), "") << path;
  EXPECT_TRUE(IsInModel("/root", "/root/jobs/b/model"));
  EXPECT_TRUE(IsInModel("/root", "/root/jobs/b/model/"));
  EXPECT_FALSE(IsInModel("/root", "/root/jobs/model/checkpoints"));
}

}  // namespace
}  // namespace lockstep::job_deletions_test
