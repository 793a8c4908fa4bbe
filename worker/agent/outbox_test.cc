#include "worker/agent/outbox.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep::outbox_test {
namespace {

using ::testing::HasSubstr;

v1::LogLine Line(int64_t sequence, const std::string& text = "text") {
  v1::LogLine line;
  line.set_sequence(sequence);
  line.set_text(text);
  return line;
}

v1::Progress Point(int64_t step) {
  v1::Progress progress;
  progress.set_job_id("job");
  progress.mutable_progress()->set_step(step);
  progress.add_points()->set_step(step);
  return progress;
}

v1::ConnectRequest Status(v1::AssignmentState state) {
  v1::ConnectRequest message;
  message.mutable_assignment()->set_job_id("job");
  message.mutable_assignment()->set_state(state);
  return message;
}

std::vector<v1::ConnectRequest> Drain(Outbox* outbox, absl::Time now) {
  std::vector<v1::ConnectRequest> all;
  while (const v1::ConnectRequest* next = outbox->Next()) {
    all.push_back(*next);
    outbox->Written(now);
  }
  return all;
}

const absl::Time kNow = absl::FromUnixSeconds(1000);

TEST(OutboxTest, LinesOfOneJobTravelTogetherAndOrderIsKept) {
  Outbox outbox;
  for (int i = 1; i <= 10; ++i) outbox.PushLog("a", Line(i));
  outbox.Push(Status(v1::ASSIGNMENT_STATE_SUCCEEDED));
  outbox.PushLog("a", Line(11));
  const auto all = Drain(&outbox, kNow);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].logs().lines_size(), 10);
  EXPECT_TRUE(all[1].has_assignment());
  EXPECT_EQ(all[2].logs().lines(0).sequence(), 11);
}

TEST(OutboxTest, MessageBeingWrittenIsNotAddedTo) {
  Outbox outbox;
  outbox.PushLog("a", Line(1));
  ASSERT_NE(outbox.Next(), nullptr);
  EXPECT_EQ(outbox.Next(), nullptr) << "one at a time";
  outbox.PushLog("a", Line(2));
  outbox.Written(kNow);
  const v1::ConnectRequest* second = outbox.Next();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->logs().lines_size(), 1);
  EXPECT_EQ(second->logs().lines(0).sequence(), 2);
}

TEST(OutboxTest, EveryProgressPointIsKeptAndTheNewestProgressWins) {
  Outbox outbox;
  for (int step = 1; step <= 12'000; ++step) outbox.PushProgress(Point(step));
  int64_t expected = 0;
  for (const auto& message : Drain(&outbox, kNow)) {
    for (const auto& point : message.progress().points()) EXPECT_EQ(point.step(), ++expected);
    EXPECT_EQ(message.progress().progress().step(), expected);
  }
  EXPECT_EQ(expected, 12'000);
}

TEST(OutboxTest, FloodDropsTheOldestLinesAndSaysHowMany) {
  Outbox outbox({.log_lines = 100, .batch_lines = 10});
  outbox.PushProgress(Point(1));
  for (int i = 1; i <= 1000; ++i) outbox.PushLog("a", Line(i));
  const auto all = Drain(&outbox, kNow);
  EXPECT_TRUE(all.front().has_progress()) << "progress is not dropped";
  int64_t lines = 0, last = 0;
  std::string marker;
  for (const auto& message : all) {
    for (const auto& line : message.logs().lines()) {
      ++lines;
      EXPECT_GT(line.sequence(), last);
      last = line.sequence();
      if (line.text() != "text") marker = line.text();
    }
  }
  EXPECT_EQ(last, 1000) << "the newest line is there";
  EXPECT_LE(lines, 100);
  EXPECT_EQ(lines - 1 + outbox.dropped_lines(), 1000) << "each line is there or counted";
  EXPECT_THAT(marker, HasSubstr(std::to_string(outbox.dropped_lines()) + " lines were dropped"));
}

TEST(OutboxTest, LongLinesAreBoundedByBytes) {
  Outbox outbox({.log_bytes = 10'000, .batch_bytes = 2'000});
  for (int i = 1; i <= 100; ++i) outbox.PushLog("a", Line(i, std::string(1000, 'x')));
  size_t bytes = 0;
  for (const auto& message : Drain(&outbox, kNow)) bytes += message.ByteSizeLong();
  EXPECT_LE(bytes, 11'000u);
}

TEST(OutboxTest, WhatWasWrittenJustBeforeTheBreakGoesOutAgainInOrder) {
  Outbox outbox({.confirm_after = absl::Seconds(5)});
  outbox.PushLog("a", Line(1));
  Drain(&outbox, kNow);
  outbox.PushProgress(Point(2));
  Drain(&outbox, kNow + absl::Seconds(6));
  outbox.Push(Status(v1::ASSIGNMENT_STATE_SUCCEEDED));
  ASSERT_NE(outbox.Next(), nullptr);  // being written when the stream breaks
  outbox.Disconnected(kNow + absl::Seconds(7));
  EXPECT_TRUE(outbox.HasStatus(Status(v1::ASSIGNMENT_STATE_SUCCEEDED).assignment()));
  const auto all = Drain(&outbox, kNow + absl::Seconds(8));
  ASSERT_EQ(all.size(), 2u) << "the line has arrived for sure";
  EXPECT_TRUE(all[0].has_progress());
  EXPECT_TRUE(all[1].has_assignment());
}

TEST(OutboxTest, AnEndThatIsForgottenNeverGoesOutAgain) {
  Outbox outbox;
  outbox.PushLog("job", Line(1));
  outbox.Push(Status(v1::ASSIGNMENT_STATE_CRASHED));
  Drain(&outbox, kNow);
  v1::ForgetAssignment other, forget;
  other.set_job_id("another");
  forget.set_job_id("job");
  outbox.Forget(other);
  outbox.Disconnected(kNow);
  EXPECT_EQ(Drain(&outbox, kNow).size(), 2u) << "it may have been lost with the connection";
  outbox.Forget(forget);
  outbox.Disconnected(kNow);
  for (const bool written : {false, true}) {  // while it waits, and before we know that it is written
    outbox.Push(Status(v1::ASSIGNMENT_STATE_CRASHED));
    while (written && !outbox.Next()->has_assignment()) outbox.Written(kNow);
    outbox.Forget(forget);
    outbox.Written(kNow);
  }
  outbox.Disconnected(kNow);
  const auto last = Drain(&outbox, kNow);
  ASSERT_EQ(last.size(), 1u);
  EXPECT_TRUE(last[0].has_logs());
}

TEST(OutboxTest, StatusesThatRegisterRepeatsAreNotSentAfterIt) {
  Outbox outbox;
  outbox.Push(Status(v1::ASSIGNMENT_STATE_STARTING));
  outbox.Disconnected(kNow);
  EXPECT_TRUE(outbox.empty());
}

}  // namespace
}  // namespace lockstep::outbox_test
