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

TEST(StragglersTest, OneThatIsFlaggedStaysSoUntilItIsClearlyAsFast) {
  auto ranks = Even();
  ranks[0].compute = 0.007;  // 1.4 times
  EXPECT_EQ(WhyStraggler(ranks, 0, false), std::nullopt);
  EXPECT_NE(WhyStraggler(ranks, 0, true), std::nullopt);
  ranks[0].compute = 0.006;
  EXPECT_EQ(WhyStraggler(ranks, 0, true), std::nullopt);
}

}  // namespace
}  // namespace lockstep
