#include "coordinator/http/job_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

class SetClock : public Clock {
 public:
  absl::Time Now() override { return now; }
  absl::Time now = absl::FromUnixSeconds(1'000'000);
};

// A controller and a store that are told what they hold.
class JobFeedTest : public ::testing::Test {
 protected:
  void Put(const std::string& id, v1::JobState state) {
    jobs_[id].set_id(id);
    jobs_[id].set_state(state);
    changes_.emplace_back(id);
  }

  JobFeed::Source Source() {
    return {.changes =
                [this](int64_t after) {
                  JobChanges changes;
                  changes.revision = static_cast<int64_t>(changes_.size());
                  changes.complete = after >= forgotten_ && after <= changes.revision;
                  if (changes.complete) changes.jobs.assign(changes_.begin() + after, changes_.end());
                  return changes;
                },
            .job = [this](const std::string& id) -> absl::StatusOr<v1::Job> {
              ++reads_;
              const auto job = jobs_.find(id);
              if (job == jobs_.end()) return absl::NotFoundError("no such job");
              return job->second;
            },
            .newest = [this](int most) -> absl::StatusOr<std::vector<v1::Job>> {
              ++full_reads_;
              std::vector<v1::Job> jobs;
              for (auto job = jobs_.rbegin(); job != jobs_.rend() && most-- > 0; ++job)
                jobs.push_back(job->second);
              return jobs;
            },
            .snapshot = [] { return ControllerSnapshot(); }};
  }

  nlohmann::json After(const std::string& cursor) {
    clock_.now += absl::Seconds(1);
    return nlohmann::json::parse(*feed_.After(cursor));
  }

  static std::string Ids(const nlohmann::json& answer) {
    std::string ids;
    for (const auto& job : answer["jobs"]) ids += job["id"].get<std::string>() + " ";
    return ids;
  }

  SetClock clock_;
  std::map<std::string, v1::Job> jobs_;
  std::vector<std::string> changes_;
  int64_t forgotten_ = 0;
  int reads_ = 0, full_reads_ = 0;
  JobFeed feed_{Source(), &clock_};
};

TEST_F(JobFeedTest, AReaderGetsAllOnceAndThenWhatChanged) {
  Put("a", v1::JOB_STATE_QUEUED);
  Put("b", v1::JOB_STATE_QUEUED);
  const auto all = After("");
  EXPECT_TRUE(all["reset"]);
  EXPECT_EQ(Ids(all), "a b ");
  const auto nothing = After(all["cursor"]);
  EXPECT_FALSE(nothing["reset"]);
  EXPECT_EQ(Ids(nothing), "");
  Put("a", v1::JOB_STATE_RUNNING);
  Put("c", v1::JOB_STATE_QUEUED);
  const auto more = After(nothing["cursor"]);
  EXPECT_EQ(Ids(more), "a c ");
  EXPECT_EQ(more["jobs"][0]["state"], "running");
  EXPECT_EQ(Ids(After(all["cursor"])), "a c ") << "a slower reader";
  EXPECT_EQ(full_reads_, 1);
  EXPECT_EQ(reads_, 2) << "each change is read once, however many readers there are";
}

TEST_F(JobFeedTest, ManyReadersWithinAMomentCostOneLookAtTheStore) {
  Put("a", v1::JOB_STATE_QUEUED);
  const auto all = After("");
  Put("a", v1::JOB_STATE_RUNNING);
  for (int i = 0; i < 10; ++i) (void)feed_.After(all["cursor"]);
  EXPECT_EQ(reads_, 0) << "not fresh enough to look again";
  EXPECT_EQ(Ids(After(all["cursor"])), "a ");
}

TEST_F(JobFeedTest, ACursorOfAnotherCoordinatorGivesAll) {
  Put("a", v1::JOB_STATE_QUEUED);
  for (const char* cursor : {"", "1", "dead.0", "dead.999", ".", "x.y.z", "%00"}) {
    const auto answer = After(cursor);
    EXPECT_TRUE(answer["reset"]) << cursor;
    EXPECT_EQ(Ids(answer), "a ") << cursor;
  }
}

TEST_F(JobFeedTest, ForgottenChangesMakeAFreshList) {
  Put("a", v1::JOB_STATE_QUEUED);
  const auto all = After("");
  for (int i = 0; i < 5; ++i) Put("a", v1::JOB_STATE_RUNNING);
  forgotten_ = 3;
  const auto answer = After(all["cursor"]);
  EXPECT_TRUE(answer["reset"]);
  EXPECT_EQ(answer["jobs"][0]["state"], "running");
}

TEST_F(JobFeedTest, ADeletedJobIsGoneForThoseWhoHaveItToo) {
  Put("a", v1::JOB_STATE_SUCCEEDED);
  Put("b", v1::JOB_STATE_SUCCEEDED);
  const auto all = After("");
  jobs_.erase("a");
  changes_.emplace_back("a");
  const auto answer = After(all["cursor"]);
  EXPECT_TRUE(answer["reset"]);
  EXPECT_EQ(Ids(answer), "b ");
  const auto next = After(answer["cursor"]);
  EXPECT_FALSE(next["reset"]);
  EXPECT_EQ(Ids(next), "");
  EXPECT_EQ(full_reads_, 1);
}

TEST_F(JobFeedTest, TheOldestJobsGoWhenThereAreTooMany) {
  for (int i = 0; i < JobFeed::kMostJobs; ++i) Put("j" + std::to_string(10'000 + i), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(After("")["jobs"].size(), JobFeed::kMostJobs);
  Put("j20000", v1::JOB_STATE_QUEUED);
  Put("j00001", v1::JOB_STATE_QUEUED);
  const auto all = After("");
  EXPECT_EQ(all["jobs"].size(), JobFeed::kMostJobs);
  EXPECT_EQ(all["jobs"].back()["id"], "j20000");
}

}  // namespace
}  // namespace lockstep
