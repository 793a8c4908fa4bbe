// The agent's small parts: line splitter, printable text, back-off, ledger, loop.
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/agent/backoff.h"
#include "worker/agent/ledger.h"
#include "worker/agent/line_splitter.h"
#include "worker/agent/loop.h"
#include "worker/agent/printable.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;

TEST(LineSplitterTest, SplitAtEveryByteGivesTheSameLines) {
  const std::string text = "one\n\ntwo\r\nthree";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    LineSplitter splitter;
    std::vector<std::string> lines = splitter.Take(text.substr(0, cut));
    for (auto& line : splitter.Take(text.substr(cut))) lines.push_back(line);
    for (auto& line : splitter.End()) lines.push_back(line);
    EXPECT_THAT(lines, ElementsAre("one", "", "two", "three")) << "cut at " << cut;
  }
}

TEST(LineSplitterTest, LineWithoutEndIsCutAtTheLimit) {
  LineSplitter splitter(4);
  EXPECT_THAT(splitter.Take("abcdefghij"), ElementsAre("abcd", "efgh"));
  EXPECT_THAT(splitter.Take("\nk\n"), ElementsAre("ij", "k"));
}

TEST(PrintableTest, BrokenUtf8AndControlCharactersBecomeQuestionMarks) {
  EXPECT_EQ(Printable("Größe\t1 \xe2\x82\xac \xf0\x9f\x98\x80"), "Größe\t1 \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(Printable("\x1b[31m"), "?[31m");
  EXPECT_EQ(Printable(std::string("a\0b", 3)), "a?b");
  EXPECT_EQ(Printable("\xff\xc0\x80|\xe2\x82|\xed\xa0\x80|\xf5\x80\x80\x80|\xc3"), "???|??|???|????|?");
}

TEST(BackoffTest, DelaysGrowToTheLimitWithJitter) {
  Backoff backoff(absl::Milliseconds(50), absl::Seconds(1));
  absl::Duration nominal = absl::Milliseconds(50);
  for (int i = 0; i < 20; ++i) {
    const absl::Duration delay = backoff.Next();
    EXPECT_GE(delay, nominal / 2);
    EXPECT_LE(delay, nominal);
    nominal = std::min(nominal * 2, absl::Seconds(1));
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Milliseconds(50));
}

v1::AssignmentStatus Status(int64_t generation, v1::AssignmentState state) {
  v1::AssignmentStatus status;
  status.set_job_id("job");
  status.set_generation(generation);
  status.set_device("cpu:0");
  status.set_state(state);
  return status;
}

const auto kNoneQueued = [](const v1::AssignmentStatus&) { return false; };

TEST(LedgerTest, EndIsKeptUntilForgottenAndNeverChanged) {
  AssignmentLedger ledger;
  EXPECT_TRUE(ledger.Record(Status(1, v1::ASSIGNMENT_STATE_RUNNING)));
  EXPECT_FALSE(ledger.Record(Status(1, v1::ASSIGNMENT_STATE_RUNNING))) << "nothing new";
  v1::ForgetAssignment forget;
  forget.set_job_id("job");
  forget.set_generation(1);
  forget.set_device("cpu:0");
  EXPECT_FALSE(ledger.Forget(forget)) << "it has not ended";
  EXPECT_TRUE(ledger.Record(Status(1, v1::ASSIGNMENT_STATE_FAILED)));
  EXPECT_FALSE(ledger.Record(Status(1, v1::ASSIGNMENT_STATE_CRASHED))) << "it has ended";
  ASSERT_EQ(ledger.ForRegister(kNoneQueued).size(), 1u);
  EXPECT_EQ(ledger.ForRegister(kNoneQueued)[0].state(), v1::ASSIGNMENT_STATE_FAILED);
  EXPECT_TRUE(ledger.Forget(forget));
  EXPECT_TRUE(ledger.ForRegister(kNoneQueued).empty());
}

TEST(LedgerTest, EndThatIsStillQueuedIsRegisteredAsItWasBefore) {
  AssignmentLedger ledger;
  ledger.Record(Status(1, v1::ASSIGNMENT_STATE_RUNNING));
  ledger.Record(Status(1, v1::ASSIGNMENT_STATE_SUCCEEDED));
  const auto all = ledger.ForRegister([](const v1::AssignmentStatus&) { return true; });
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].state(), v1::ASSIGNMENT_STATE_RUNNING);
}

TEST(LedgerTest, RunningLaterGenerationEndsTheEarlierOnes) {
  AssignmentLedger ledger;
  ledger.Record(Status(1, v1::ASSIGNMENT_STATE_RUNNING));
  ledger.Record(Status(2, v1::ASSIGNMENT_STATE_STARTING));
  EXPECT_EQ(ledger.Running("job", "cpu:0").size(), 2u);
  ledger.Record(Status(2, v1::ASSIGNMENT_STATE_RUNNING));
  ASSERT_EQ(ledger.Running("job", "cpu:0").size(), 1u);
  EXPECT_EQ(ledger.Running("job", "cpu:0")[0].generation(), 2);
}

TEST(LoopTest, TasksRunInOrderAndDueTimersBeforeThem) {
  Loop loop;
  std::string order;
  loop.Post([&] { order += 'a'; });
  loop.Post([&] {
    order += 'b';
    loop.PostAfter(absl::Milliseconds(5), [&] {
      order += 'z';
      loop.Stop();
    });
  });
  loop.PostAfter(absl::ZeroDuration(), [&] { order += 't'; });
  loop.PostAfter(absl::Hours(1), [&] { order += '!'; });
  loop.Run();
  EXPECT_EQ(order, "tabz");
}

TEST(LoopTest, PostFromAnotherThreadWakesIt) {
  Loop loop;
  std::thread poster([&] { loop.Post([&] { loop.Stop(); }); });
  loop.Run();
  poster.join();
}

}  // namespace
}  // namespace lockstep
