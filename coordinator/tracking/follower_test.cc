#include "coordinator/tracking/follower.h"

#include <gmock/gmock.h>

#include "coordinator/tracking/tracking_fixture_for_test.h"

namespace lockstep::follower_test {
namespace {

using ::testing::ElementsAre;

// What was said to a sink, and what it is to answer.
struct Script {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> calls;
  std::map<std::string, absl::Status> answers;  // by job

  void Say(std::string call) {
    std::lock_guard<std::mutex> lock(mutex);
    calls.push_back(std::move(call));
    changed.notify_all();
  }
  void Answer(const std::string& job, absl::Status status) {
    std::lock_guard<std::mutex> lock(mutex);
    answers[job] = std::move(status);
  }
  std::vector<std::string> Await(size_t count) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(60), [&] { return calls.size() >= count; });
    return calls;
  }
};

class ScriptedSink : public TrackingSink {
 public:
  explicit ScriptedSink(Script* script) : script_(script) {}
  std::string kind() const override { return "scripted"; }
  std::string id() const override { return "scripted"; }
  absl::Status Write(const v1::Job& job, const std::vector<PointChange>& points,
                     TrackedJob* tracked) override {
    std::string call = absl::StrCat(job.id(), ":");
    for (const PointChange& point : points) absl::StrAppend(&call, " ", point.point.step());
    return Answer(job.id(), call, tracked);
  }
  absl::Status End(const v1::Job& job, TrackedJob* tracked) override {
    return Answer(job.id(), job.id() + " ends", tracked);
  }

 private:
  absl::Status Answer(const std::string& job, std::string call, TrackedJob* tracked) {
    absl::Status status;
    {
      std::lock_guard<std::mutex> lock(script_->mutex);
      status = script_->answers[job];
    }
    if (!status.ok()) absl::StrAppend(&call, " failed");
    tracked->state += ".";
    script_->Say(std::move(call));
    return status;
  }
  Script* const script_;
};

class FollowerTest : public TrackingFixture {
 protected:
  void Start() {
    log_ = OpenLog("scripted");
    auto follower =
        Follower::Start({.poll = absl::Milliseconds(1), .longest_backoff = absl::Milliseconds(1), .page = 3},
                        log_.get(), store_.get(), std::make_unique<ScriptedSink>(&script_));
    ASSERT_TRUE(follower.ok()) << follower.status();
    follower_ = std::move(*follower);
  }
  void Stop() {
    follower_.reset();
    log_.reset();
  }

  Script script_;
  std::unique_ptr<PointLog> log_;
  std::unique_ptr<Follower> follower_;
};

TEST_F(FollowerTest, PagesAreWrittenInOrderAndTheEndComesLast) {
  SetJob("a");
  OpenLog("scripted");
  for (int step = 1; step <= 7; ++step) AddPoint("a", step);
  SetJob("a", v1::JOB_STATE_SUCCEEDED);
  Start();
  EXPECT_THAT(script_.Await(4), ElementsAre("a: 1 2 3", "a: 4 5 6", "a: 7", "a ends"));
}

TEST_F(FollowerTest, ARestartGoesOnAfterWhatIsDone) {
  SetJob("a");
  OpenLog("scripted");
  AddPoint("a", 1);
  Start();
  script_.Await(1);
  while (log_->Position("scripted").value() < 1) absl::SleepFor(absl::Milliseconds(1));
  Stop();
  AddPoint("a", 2);
  Start();
  EXPECT_THAT(script_.Await(2), ElementsAre("a: 1", "a: 2"));
  Stop();
  EXPECT_EQ(OpenLog("scripted")->FindJob("scripted", "a").value()->state, "..");
}

TEST_F(FollowerTest, AFailureRepeatsTheJobThatFailedAndNoOther) {
  SetJob("a");
  SetJob("b");
  OpenLog("scripted");
  AddPoint("a", 1);
  AddPoint("b", 1);
  AddPoint("a", 2);
  script_.Answer("b", absl::UnavailableError("down"));
  Start();
  script_.Await(3);
  EXPECT_GT(follower_->Counters().failures, 0);
  EXPECT_GT(follower_->Counters().lag, 0);
  script_.Answer("b", absl::OkStatus());
  std::vector<std::string> calls;
  for (size_t n = 4; calls.empty() || calls.back() != "b: 1"; ++n) calls = script_.Await(n);
  EXPECT_EQ(calls[0], "a: 1 2");
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "a: 1 2"), 1);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "b: 1"), 1);
}

TEST_F(FollowerTest, AJobThatIsDeletedHoldsNobodyUp) {
  SetJob("a");
  SetJob("b");
  OpenLog("scripted");
  AddPoint("a", 1);
  Start();
  script_.Await(1);
  while (log_->Position("scripted").value() < 1) absl::SleepFor(absl::Milliseconds(1));
  Stop();
  AddPoint("a", 2);  // one that the sink does not have yet
  Batch removal;
  removal.removed_jobs = {"a"};
  ASSERT_TRUE(store_->Commit(removal).ok());
  AddPoint("b", 1);
  SetJob("b", v1::JOB_STATE_SUCCEEDED);
  Start();
  EXPECT_THAT(script_.Await(3), ElementsAre("a: 1", "b: 1", "b ends"));
  Stop();
  EXPECT_TRUE(OpenLog("scripted")->OpenJobs("scripted")->empty());
}

TEST_F(FollowerTest, AJobThatIsRefusedHoldsNobodyUp) {
  SetJob("a");
  SetJob("b");
  OpenLog("scripted");
  AddPoint("a", 1);
  AddPoint("b", 1);
  script_.Answer("a", absl::InvalidArgumentError("deleted"));
  Start();
  EXPECT_THAT(script_.Await(2), ElementsAre("a: 1 failed", "b: 1"));
  AddPoint("a", 2);
  AddPoint("b", 2);
  EXPECT_THAT(script_.Await(3), ElementsAre("a: 1 failed", "b: 1", "b: 2"));
  EXPECT_EQ(follower_->Counters().points_refused, 2);
}

}  // namespace
}  // namespace lockstep::follower_test
