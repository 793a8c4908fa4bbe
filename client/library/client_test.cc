#include "client/library/client.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "client/library/model_folder.h"
#include "client/testing/fake_coordinator.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ClientTest : public ::testing::Test {
 protected:
  Client::Options Options() {
    Client::Options options;
    options.address = fake_.address();
    options.on_waiting = [this] { ++waiting_; };
    options.cancellation = &cancellation_;
    return options;
  }

  FakeCoordinator fake_;
  Cancellation cancellation_;
  int waiting_ = 0;
};

TEST_F(ClientTest, UnavailableCallsAreRepeatedWithTheSameRequestId) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_QUEUED)});
  fake_.SubmitMakes("j1");
  fake_.FailNext(2, absl::UnavailableError("the store is failing"));
  Client client(Options());
  const auto job = client.SubmitJob(v1::JobSpec(), "same");
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_EQ(fake_.submits().size(), 3u);
  for (const auto& request : fake_.submits()) EXPECT_EQ(request.request_id(), "same");
  EXPECT_EQ(waiting_, 1);
}

TEST_F(ClientTest, OtherErrorsAreNotRepeatedAndKeepCodeAndMessage) {
  fake_.FailNext(1, absl::InvalidArgumentError("train.epochs: no"));
  Client client(Options());
  const auto job = client.GetJob("j");
  EXPECT_EQ(job.status(), absl::InvalidArgumentError("train.epochs: no"));
  EXPECT_EQ(fake_.calls(), 1);
}

TEST_F(ClientTest, ALastingUnavailableIsReportedInTheCoordinatorsWords) {
  auto options = Options();
  options.connect_timeout = absl::Seconds(2);  // of which a call after the first needs 50 ms
  Client client(options);
  ASSERT_TRUE(client.ListJobs({}, 0).ok());  // so that none of it goes into connecting
  const int before = fake_.calls();
  fake_.FailNext(1000, absl::UnavailableError("the store is failing: disk full"));
  const auto job = client.GetJob("j");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("disk full"));
  EXPECT_GT(fake_.calls(), before + 1);
}

TEST_F(ClientTest, NobodyListeningIsSaidWithTheAddress) {
  std::string address;
  {
    const FakeCoordinator gone;
    address = gone.address();
  }
  auto options = Options();
  options.address = address;
  options.connect_timeout = absl::Milliseconds(400);
  Client client(options);
  const auto job = client.GetJob("j");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(job.status().message()), HasSubstr("no coordinator answered at " + address));
  EXPECT_EQ(waiting_, 1);
}

TEST_F(ClientTest, CancellationEndsTheWaitForACoordinator) {
  auto options = Options();
  options.address = "127.0.0.1:1";
  options.connect_timeout = absl::Minutes(10);
  options.on_waiting = [this] { cancellation_.Cancel(); };
  Client client(options);
  EXPECT_EQ(client.GetJob("j").status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ClientTest, AllPagesAreListed) {
  for (const char* id : {"a", "b", "c"}) fake_.AddJob(id, {FakeJob(id, v1::JOB_STATE_QUEUED)});
  Client client(Options());
  EXPECT_EQ(client.ListJobs({}, 0)->jobs_size(), 3);
  EXPECT_EQ(client.ListJobs({}, 2)->jobs_size(), 2);
}

TEST_F(ClientTest, ABrokenWatchGoesOn) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_QUEUED), FakeJob("j1", v1::JOB_STATE_RUNNING),
                      FakeJob("j1", v1::JOB_STATE_SUCCEEDED)});
  fake_.BreakNextStreamAfter(1);
  Client client(Options());
  v1::JobState last = v1::JOB_STATE_UNSPECIFIED;
  ASSERT_TRUE(client
                  .WatchJob("digits",
                            [&](const v1::Job& job) {
                              last = job.state();
                              return true;
                            })
                  .ok());
  EXPECT_EQ(last, v1::JOB_STATE_SUCCEEDED);
}

TEST_F(ClientTest, AWatcherThatHasSeenEnoughLeaves) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING)});
  Client client(Options());
  EXPECT_TRUE(client.WatchJob("j1", [](const v1::Job&) { return false; }).ok());
}

TEST_F(ClientTest, CancellationEndsAWatch) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING)});
  fake_.OnWatchDrained([this] { cancellation_.Cancel(); });
  Client client(Options());
  EXPECT_EQ(client.WatchJob("j1", [](const v1::Job&) { return true; }).code(), absl::StatusCode::kCancelled);
}

TEST_F(ClientTest, BrokenStreamsRepeatNothing) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_SUCCEEDED)});
  std::vector<v1::LogLine> lines(4);
  std::vector<v1::MetricPoint> points(4);
  for (int i = 0; i < 4; ++i) {
    lines[static_cast<size_t>(i)].set_sequence(i / 2);
    lines[static_cast<size_t>(i)].set_rank(i % 2);
    lines[static_cast<size_t>(i)].set_text(std::string(1, static_cast<char>('a' + i)));
    points[static_cast<size_t>(i)].set_step(10 * i);
  }
  fake_.AddLogs(lines);
  fake_.AddMetrics(points);
  Client client(Options());
  v1::StreamLogsRequest logs;
  logs.set_job("j1");
  std::string text;
  fake_.BreakNextStreamAfter(3);
  ASSERT_TRUE(client
                  .StreamLogs(logs,
                              [&](const v1::LogLine& line) {
                                text += line.text();
                                return true;
                              })
                  .ok());
  EXPECT_EQ(text, "abcd");
  v1::StreamMetricsRequest metrics;
  metrics.set_job("j1");
  std::vector<int64_t> steps;
  fake_.BreakNextStreamAfter(2);
  ASSERT_TRUE(client
                  .StreamMetrics(metrics,
                                 [&](const v1::MetricPoint& point) {
                                   steps.push_back(point.step());
                                   return true;
                                 })
                  .ok());
  EXPECT_THAT(steps, ElementsAre(0, 10, 20, 30));
}

v1::DownloadModelResponse Chunk(const std::string& file, int64_t size, int64_t offset,
                                const std::string& data) {
  v1::DownloadModelResponse chunk;
  chunk.set_file(file);
  chunk.set_size(size);
  chunk.set_offset(offset);
  chunk.set_data(data);
  return chunk;
}

std::string Content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string FreshFolder(const std::string& name) {
  const std::string folder = ::testing::TempDir() + "/client_test_" + name;
  std::filesystem::remove_all(folder);
  return folder;
}

TEST_F(ClientTest, ADownloadBrokenInTheMiddleStartsOver) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_SUCCEEDED)});
  fake_.SetDownload({Chunk("a", 4, 0, "ab"), Chunk("a", 4, 2, "cd"), Chunk("b", 0, 0, "")});
  fake_.BreakNextStreamAfter(1);
  Client client(Options());
  const std::string folder = FreshFolder("again");
  const auto files = client.DownloadModel("j1", folder);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(*files, ElementsAre("a", "b"));
  EXPECT_EQ(Content(folder + "/a"), "abcd");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 2);
}

TEST(ModelFolder, AFileNameCannotLeaveTheFolder) {
  for (const std::string& name : {std::string("../evil"), std::string("/etc/evil"), std::string(".."),
                                  std::string(), std::string(".hidden"), std::string("a\0b", 3)}) {
    ModelFolder folder(FreshFolder("names"));
    EXPECT_EQ(folder.Add(Chunk(name, 1, 0, "x")).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(ModelFolder, GapsOverrunsAndTruncationLeaveNothingBehind) {
  const std::string path = FreshFolder("gaps");
  {
    ModelFolder folder(path);
    ASSERT_TRUE(folder.Add(Chunk("a", 4, 0, "ab")).ok());
    EXPECT_EQ(folder.Add(Chunk("a", 4, 3, "d")).code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(folder.Add(Chunk("a", 4, 2, "cde")).code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(folder.Finish().status().code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_TRUE(std::filesystem::is_empty(path));
  ModelFolder twice(path);
  ASSERT_TRUE(twice.Add(Chunk("a", 0, 0, "")).ok());
  ASSERT_TRUE(twice.Add(Chunk("b", 0, 0, "")).ok());
  EXPECT_EQ(twice.Add(Chunk("a", 0, 0, "")).code(), absl::StatusCode::kDataLoss);
}

TEST(ModelFolder, AFolderThatCannotBeMadeIsNamed) {
  ModelFolder folder("/proc/nowhere");
  EXPECT_THAT(std::string(folder.Add(Chunk("a", 1, 0, "x")).message()), HasSubstr("/proc/nowhere"));
}

TEST(NewRequestId, IsDifferentEachTime) {
  EXPECT_EQ(NewRequestId().size(), 32u);
  EXPECT_NE(NewRequestId(), NewRequestId());
}

TEST(Cancellation, ActsAtOnceWhenItIsLate) {
  Cancellation cancellation;
  int acted = 0;
  {
    const Cancellation::Hook dropped(&cancellation, [&] { acted += 100; });
  }
  const Cancellation::Hook before(&cancellation, [&] { ++acted; });
  cancellation.Cancel();
  const Cancellation::Hook after(&cancellation, [&] { ++acted; });
  EXPECT_EQ(acted, 2);
  EXPECT_FALSE(cancellation.SleepFor(absl::Hours(1)));
}

}  // namespace
}  // namespace lockstep
