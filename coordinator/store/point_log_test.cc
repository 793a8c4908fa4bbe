#include "coordinator/store/point_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "absl/strings/str_join.h"
#include "common/base/folder_for_test.h"
#include "coordinator/store/sqlite_store.h"

namespace lockstep::point_log_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PointLogTest : public testing::Test {
 protected:
  PointLogTest() {
    path_ = FolderForTest("points") + "/state.db";
    OpenStore();
  }
  void OpenStore() {
    store_.reset();
    auto store = OpenSqliteStore(path_);
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = std::move(*store);
  }
  std::unique_ptr<PointLog> Follow(const std::vector<std::string>& sinks) {
    auto log = PointLog::Open(path_, sinks);
    EXPECT_TRUE(log.ok()) << log.status();
    return std::move(*log);
  }
  void AddJob(const std::string& id, v1::JobState state = v1::JOB_STATE_RUNNING) {
    Batch batch;
    batch.jobs.emplace_back().job.set_id(id);
    batch.jobs.back().job.set_state(state);
    ASSERT_TRUE(store_->Commit(batch).ok());
  }
  void AddPoint(const std::string& job, int64_t step, const std::map<std::string, double>& values) {
    Batch batch;
    StoredPoint& point = batch.points.emplace_back();
    point.job_id = job;
    point.point.set_step(step);
    for (const auto& [name, value] : values) (*point.point.mutable_values())[name] = value;
    ASSERT_TRUE(store_->Commit(batch).ok());
  }
  // "job:step:name,name" of what a sink has still to take.
  std::vector<std::string> Waiting(PointLog& log, const std::string& sink) {
    std::vector<std::string> texts;
    const auto changes = log.Read(sink, *log.Position(sink), 1000);
    EXPECT_TRUE(changes.ok()) << changes.status();
    for (const PointChange& change : *changes) {
      std::set<std::string> names;
      for (const auto& [name, value] : change.point.values()) names.insert(name);
      texts.push_back(absl::StrCat(change.job_id, ":", change.point.step(), ":", absl::StrJoin(names, ",")));
    }
    return texts;
  }

  std::string path_;
  std::unique_ptr<Store> store_;
};

TEST_F(PointLogTest, NothingIsWrittenWhileNobodyFollows) {
  AddJob("a");
  auto log = Follow({});
  AddPoint("a", 1, {{"train/loss", 1}});
  EXPECT_EQ(*log->End(), 0);
}

TEST_F(PointLogTest, AStepsLaterValuesAreToldAndItsOldOnesAreNotToldAgain) {
  AddJob("a");
  auto log = Follow({"x"});
  AddPoint("a", 1, {{"train/loss", 1}});
  AddPoint("a", 1, {{"train/loss", 1}});
  AddPoint("a", 1, {{"train/loss", 1}, {"validation/loss", 2}});
  EXPECT_THAT(Waiting(*log, "x"), ElementsAre("a:1:train/loss", "a:1:validation/loss"));
}

TEST_F(PointLogTest, AStretchThatIsTrainedAgainTellsOnlyWhatIsNew) {
  AddJob("a");
  auto log = Follow({"x"});
  for (const int step : {10, 20, 30}) AddPoint("a", step, {{"train/loss", 1}});
  ASSERT_TRUE(log->Commit("x", *log->End(), {}).ok());
  for (const int step : {20, 25, 30, 40}) AddPoint("a", step, {{"train/loss", 1}});
  EXPECT_THAT(Waiting(*log, "x"), ElementsAre("a:25:train/loss", "a:40:train/loss"));
}

TEST_F(PointLogTest, PositionsOutliveTheProcess) {
  AddJob("a");
  auto log = Follow({"x"});
  AddPoint("a", 1, {{"train/loss", 1}});
  AddPoint("a", 2, {{"train/loss", 1}});
  const auto changes = *log->Read("x", 0, 1);
  ASSERT_TRUE(log->Commit("x", changes[0].position, {{"a", changes[0].position, 1, false, false, "s"}}).ok());
  log.reset();
  OpenStore();
  log = Follow({"x"});
  EXPECT_THAT(Waiting(*log, "x"), ElementsAre("a:2:train/loss"));
  const auto tracked = *log->FindJob("x", "a");
  ASSERT_TRUE(tracked.has_value());
  EXPECT_EQ(tracked->state, "s");
  EXPECT_EQ(tracked->step, 1);
  EXPECT_EQ(log->OpenJobs("x")->size(), 1u);
}

TEST_F(PointLogTest, AChangeIsKeptUntilTheSlowestSinkHasIt) {
  AddJob("a");
  auto log = Follow({"fast", "slow"});
  AddPoint("a", 1, {{"train/loss", 1}});
  ASSERT_TRUE(log->Commit("fast", *log->End(), {}).ok());
  EXPECT_THAT(Waiting(*log, "fast"), IsEmpty());
  EXPECT_THAT(Waiting(*log, "slow"), ElementsAre("a:1:train/loss"));
  log = Follow({"fast"});  // the slow one is given up
  EXPECT_THAT(*log->Read("slow", 0, 10), IsEmpty());
}

TEST_F(PointLogTest, ANewSinkBeginsWithWhatActiveJobsHave) {
  AddJob("done", v1::JOB_STATE_SUCCEEDED);
  AddJob("runs");
  AddPoint("done", 1, {{"train/loss", 1}});
  AddPoint("runs", 1, {{"train/loss", 1}});
  auto log = Follow({"x"});
  EXPECT_THAT(Waiting(*log, "x"), ElementsAre("runs:1:train/loss"));
  log = Follow({"x", "y"});
  EXPECT_THAT(Waiting(*log, "x"), ElementsAre("runs:1:train/loss"));
  EXPECT_THAT(Waiting(*log, "y"), ElementsAre("runs:1:train/loss"));
}

TEST_F(PointLogTest, ASinkThatComesBackGetsWhatItMissed) {
  AddJob("a");
  auto log = Follow({"x"});
  AddPoint("a", 1, {{"train/loss", 1}});
  ASSERT_TRUE(log->Commit("x", *log->End(), {{"a", *log->End(), 1, false, false, ""}}).ok());
  log = Follow({});
  AddPoint("a", 2, {{"train/loss", 1}});
  log = Follow({"x"});
  EXPECT_THAT(Waiting(*log, "x"), ElementsAre("a:2:train/loss"));
}

}  // namespace
}  // namespace lockstep::point_log_test
