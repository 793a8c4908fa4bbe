#include "coordinator/scheduler/stragglers.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::Eq;
using ::testing::Optional;

// Four ranks of 5 ms each, and their wait.
std::vector<RankStep> Even() { return std::vector<RankStep>(4, {0, 0.005, 0.001}); }

TEST(StragglersTest, NobodyOfEvenRanks) {
  for (size_t rank = 0; rank < 4; ++rank) EXPECT_EQ(WhyStraggler(Even(), rank, false), std::nullopt);
}

TEST(StragglersTest, TheOneThatComputesLongIsNamedAndTheOnesThatWaitForItAreNot) {
  auto ranks = Even();
  ranks[2].compute = 0.012;
  for (RankStep& rank : ranks) rank.communication = 0.0005 + 0.012 - rank.compute;
  EXPECT_THAT(WhyStraggler(ranks, 2, false), Optional(Eq("compute: 12 ms of a step, the others 5 ms")));
  for (const size_t rank : {0, 1, 3}) EXPECT_EQ(WhyStraggler(ranks, rank, false), std::nullopt);
}

TEST(StragglersTest, TheOneThatWaitsForItsDataIsNamedForThat) {
  auto ranks = Even();
  ranks[1] = {0.02, 0.006, 0};
  EXPECT_THAT(WhyStraggler(ranks, 1, false), Optional(Eq("input: 20 ms of a step, the others 0 ms")));
}

TEST(StragglersTest, OfTwoTheSlowerOne) {
  std::vector<RankStep> ranks = {{0, 0.01, 0.001}, {0, 0.004, 0.007}};
  EXPECT_NE(WhyStraggler(ranks, 0, false), std::nullopt);
  EXPECT_EQ(WhyStraggler(ranks, 1, false), std::nullopt);
}

TEST(StragglersTest, WhatCostsTheStepLittleIsNone) {
  std::vector<RankStep> ranks(3, {0, 0.0001, 0.01});  // the collective takes nearly all of it
  ranks[0].compute = 0.0004;
  EXPECT_EQ(WhyStraggler(ranks, 0, false), std::nullopt);
}

TEST(StragglersTest, TheLeadThatStopsForItsCheckpointsIsNamedForThat) {
  auto ranks = Even();
  ranks[0].checkpoint = 0.01;
  for (const size_t rank : {1, 2, 3}) {
    ranks[rank].communication = 0.011;
  }
  EXPECT_THAT(WhyStraggler(ranks, 0, false), Optional(Eq("checkpoint: 10 ms of a step, the others 0 ms")));
  for (const size_t rank : {1, 2, 3}) EXPECT_EQ(WhyStraggler(ranks, rank, false), std::nullopt);
}

// Of n ranks with even parts of 5 ms, rank 1 behind a link on which messages take 4 ms, into it or out of it.
std::vector<RankStep> SlowLink(size_t n, bool into) {
  std::vector<RankStep> ranks(n, {0, 0.005, 0.005, std::vector<double>(n, 0.0001)});
  for (size_t rank = 0; rank < n; ++rank) {
    if (rank != 1) (into ? ranks[1].arriving[rank] : ranks[rank].arriving[1]) = 0.004;
  }
  return ranks;
}

TEST(StragglersTest, TheOneBehindASlowLinkIsNamedWhicheverWayItIsSlow) {
  for (const size_t n : {3, 4, 8}) {
    for (const bool into : {false, true}) {
      const auto ranks = SlowLink(n, into);
      EXPECT_THAT(WhyStraggler(ranks, 1, false),
                  Optional(Eq("communication: 4.1 ms of a step, the others 0.2 ms")));
      for (size_t rank = 0; rank < n; ++rank) {
        if (rank == 1) continue;
        EXPECT_EQ(WhyStraggler(ranks, rank, false), std::nullopt);
      }
    }
  }
}

// As measured behind 40 Mbit/s: the message that is sent last queues behind the first one.
TEST(StragglersTest, TheLinksOfOneMayBeUnevenlySlow) {
  std::vector<RankStep> ranks(3, {0, 0.004, 0.5, {0, 0, 0}});
  ranks[0].arriving[1] = 0.49;
  ranks[2].arriving[1] = 0.03;
  EXPECT_NE(WhyStraggler(ranks, 1, false), std::nullopt);
  for (const size_t rank : {0, 2}) EXPECT_EQ(WhyStraggler(ranks, rank, false), std::nullopt);
}

TEST(StragglersTest, OfTwoNobodyKnowsWhoseLinkItIs) {
  for (const size_t rank : {0, 1}) EXPECT_EQ(WhyStraggler(SlowLink(2, true), rank, false), std::nullopt);
}

TEST(StragglersTest, ASlowLinkThatCostsAStepLittleIsNone) {
  auto ranks = SlowLink(3, true);
  for (RankStep& rank : ranks) rank.compute = 0.1;
  EXPECT_EQ(WhyStraggler(ranks, 1, false), std::nullopt);
}

TEST(StragglersTest, WhoHasMoreShardsMayTakeLonger) {
  std::vector<RankStep> ranks(5, {0.0002, 0.010, 0.0002});  // 8 shards on 5 ranks
  for (const size_t rank : {0, 1, 2}) ranks[rank].shards = 2;
  for (const size_t rank : {3, 4}) ranks[rank] = {0.0001, 0.005, 0.0053};
  for (size_t rank = 0; rank < 5; ++rank) EXPECT_EQ(WhyStraggler(ranks, rank, false), std::nullopt);
  ranks[3].compute = 0.010;  // as long as the others, for half of their work
  EXPECT_THAT(WhyStraggler(ranks, 3, false), Optional(Eq("compute: 10 ms of a step, the others 5 ms")));
}

TEST(StragglersTest, OneThatIsFlaggedStaysSoUntilItIsClearlyAsFast) {
  auto ranks = Even();
  ranks[0].compute = 0.007;  // 1.4 times
  EXPECT_EQ(WhyStraggler(ranks, 0, false), std::nullopt);
  EXPECT_NE(WhyStraggler(ranks, 0, true), std::nullopt);
  ranks[0].compute = 0.006;
  EXPECT_EQ(WhyStraggler(ranks, 0, true), std::nullopt);
}

TEST(StragglerRatioTest, TheSlowestOverTheMedian) {
  EXPECT_DOUBLE_EQ(StragglerRatio({1, 1, 3}), 3);
  EXPECT_DOUBLE_EQ(StragglerRatio({2, 3}), 1.5);
  EXPECT_DOUBLE_EQ(StragglerRatio({0, 0, 1}), 0);
}

}  // namespace
}  // namespace lockstep
