#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "absl/synchronization/blocking_counter.h"
#include "coordinator/server/file_chunks.h"
#include "coordinator/server/live_streams.h"
#include "coordinator/server/requests.h"
#include "coordinator/server/stream_queue.h"
#include "coordinator/server/worker_pool.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

v1::StreamLogsResponse Line(const std::string& text) {
  v1::StreamLogsResponse message;
  message.add_lines()->set_text(text);
  return message;
}

TEST(StreamQueue, WhatWaitsIsSentBeforeTheEnd) {
  StreamQueue<v1::StreamLogsResponse> queue({});
  v1::StreamLogsResponse message;
  EXPECT_EQ(*queue.Next(&message), Pull::kNothingYet);
  queue.Push(Line("a"));
  queue.End(absl::OkStatus());
  queue.Push(Line("after the end"));
  ASSERT_EQ(*queue.Next(&message), Pull::kMessage);
  EXPECT_EQ(message.lines(0).text(), "a");
  EXPECT_EQ(*queue.Next(&message), Pull::kEnd);
}

TEST(StreamQueue, SlowReaderLosesItsStreamAndTheMemoryIsFreed) {
  StreamQueue<v1::StreamLogsResponse> queue({.max_bytes = 1 << 20, .what = "log lines"});
  const std::string text(1000, 'x');
  for (int i = 0; i < 2000; ++i) queue.Push(Line(text));
  v1::StreamLogsResponse message;
  const auto pulled = queue.Next(&message);
  ASSERT_EQ(pulled.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(pulled.status().message()), HasSubstr("more than 1 MiB of log lines"));
}

TEST(StreamQueue, ReaderThatKeepsUpIsNeverCutOff) {
  StreamQueue<v1::StreamLogsResponse> queue({.max_bytes = 10'000});
  const std::string text(1000, 'x');
  v1::StreamLogsResponse message;
  for (int i = 0; i < 2000; ++i) {
    queue.Push(Line(text));
    ASSERT_EQ(*queue.Next(&message), Pull::kMessage);
  }
}

TEST(StreamQueue, OutdatedMessageIsReplacedOnlyWhileItWaits) {
  const auto same_state = [](const v1::WatchJobResponse& a, const v1::WatchJobResponse& b) {
    return a.job().state() == b.job().state();
  };
  StreamQueue<v1::WatchJobResponse> queue({.supersedes = same_state});
  const auto push = [&](v1::JobState state, int64_t step) {
    v1::WatchJobResponse message;
    message.mutable_job()->set_state(state);
    message.mutable_job()->mutable_progress()->set_step(step);
    queue.Push(message);
  };
  push(v1::JOB_STATE_QUEUED, 0);
  push(v1::JOB_STATE_RUNNING, 1);
  push(v1::JOB_STATE_RUNNING, 2);
  push(v1::JOB_STATE_SUCCEEDED, 3);
  std::vector<int64_t> steps;
  v1::WatchJobResponse message;
  while (*queue.Next(&message) == Pull::kMessage) steps.push_back(message.job().progress().step());
  EXPECT_THAT(steps, testing::ElementsAre(0, 2, 3));
}

TEST(StreamQueue, EachChangeWakesTheStream) {
  StreamQueue<v1::StreamLogsResponse> queue({});
  int wakes = 0;
  queue.OnChange([&] { ++wakes; });
  queue.Push(Line("a"));
  queue.End(absl::OkStatus());
  EXPECT_EQ(wakes, 2);
}

TEST(LiveStreams, StreamThatComesAfterTheEndIsEndedToo) {
  struct Stream : LiveStream {
    void End(absl::Status status) override { ended = status; }
    absl::Status ended;
  };
  LiveStreams live;
  const auto early = std::make_shared<Stream>();
  const auto late = std::make_shared<Stream>();
  live.Add(early);
  live.EndAll(absl::UnavailableError("bye"));
  live.Add(late);
  EXPECT_EQ(early->ended, absl::UnavailableError("bye"));
  EXPECT_EQ(late->ended, absl::UnavailableError("bye"));
  EXPECT_EQ(live.size(), 0u);
}

TEST(LiveStreams, AConnectionHasSoManyAndNoMore) {
  struct Stream : LiveStream {
    void End(absl::Status status) override { ended = status; }
    absl::Status ended;
  };
  LiveStreams live;
  const auto add = [&live](const char* connection) {
    auto stream = std::make_shared<Stream>();
    live.Add(stream, {.token = "", .connection = connection});
    return stream;
  };
  std::vector<std::shared_ptr<Stream>> open(LiveStreams::kMostOfConnection);
  for (auto& stream : open) {
    stream = add("a");
    ASSERT_TRUE(stream->ended.ok());
  }
  EXPECT_TRUE(add("b")->ended.ok()) << "another connection's";
  const auto late = add("a");
  EXPECT_TRUE(absl::IsResourceExhausted(late->ended)) << late->ended;
  live.Remove(late.get());
  live.Remove(open.front().get());
  live.Remove(open.front().get());  // twice is once
  EXPECT_TRUE(add("a")->ended.ok());
  EXPECT_FALSE(add("a")->ended.ok());
}

TEST(WorkerPool, BlockedTaskDoesNotHoldUpTheNext) {
  WorkerPool pool(2);
  absl::BlockingCounter second_ran(1);
  absl::BlockingCounter first_done(1);
  pool.Run([&] {
    second_ran.Wait();
    first_done.DecrementCount();
  });
  pool.Run([&] { second_ran.DecrementCount(); });
  first_done.Wait();
}

TEST(WorkerPool, QueuedTasksRunBeforeItIsGone) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool(1);
    for (int i = 0; i < 100; ++i) pool.Run([&] { ++ran; });
  }
  EXPECT_EQ(ran, 100);
}

TEST(FileChunks, ChunksAreAtMostOneMebibyteAndAddUpToTheRange) {
  const std::string path = testing::TempDir() + "chunks";
  std::string content;
  for (int i = 0; content.size() < 2'500'000; ++i) content += std::to_string(i);
  std::ofstream(path, std::ios::binary) << content;
  const auto size = static_cast<int64_t>(content.size());
  auto chunks = FileChunks::Open(path, 10, size, size);
  ASSERT_TRUE(chunks.ok()) << chunks.status();
  std::string read;
  while (!(*chunks)->done()) {
    std::string data;
    EXPECT_EQ((*chunks)->position(), static_cast<int64_t>(10 + read.size()));
    ASSERT_TRUE((*chunks)->Read(&data).ok());
    EXPECT_LE(data.size(), 1u << 20);
    read += data;
  }
  EXPECT_EQ(read, content.substr(10));
}

TEST(FileChunks, FileThatShrinksWhileItIsReadIsDataLoss) {
  const std::string path = testing::TempDir() + "shrinks";
  std::ofstream(path, std::ios::binary) << std::string(1000, 'x');
  auto chunks = FileChunks::Open(path, 0, 1000, 1000);
  ASSERT_TRUE(chunks.ok());
  std::filesystem::resize_file(path, 10);
  std::string data;
  EXPECT_EQ((*chunks)->Read(&data).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(FileChunks::Open(path, 0, 1000, 1000).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(FileChunks::Open(path + "-not-there", 0, 1, 1).status().code(), absl::StatusCode::kNotFound);
}

TEST(Requests, ReferenceThatCannotBeANameIsRefusedWithoutRepeatingIt) {
  EXPECT_TRUE(CheckReference("job", "digits").ok());
  for (const std::string& value : {std::string(), std::string(1'000'000, 'x'), std::string("a\nb")}) {
    const absl::Status status = CheckReference("job", value);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_LT(status.message().size(), 200u);
  }
}

}  // namespace
}  // namespace lockstep
