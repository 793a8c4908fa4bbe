#include "common/spec/chaos_plan.h"

#include "common/base/proto_time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep::chaos_plan_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ChaosPlan, FaultsAreOrderedAndThoseThatLastHaveADuration) {
  const auto plan = ParseChaosPlan(
      "faults:\n"
      "  - {at: 5s, fault: cut, worker: node-1, duration: 3s}\n"
      "  - {at: 1500ms, fault: kill}\n"
      "  - {at: 2s, fault: stop}\n"
      "  - {at: 2s, fault: kill_coordinator}\n",
      "plan.yaml");
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->faults_size(), 4);
  EXPECT_EQ(plan->faults(0).fault(), v1::FAULT_KIND_KILL);
  EXPECT_EQ(FromProto(plan->faults(0).at()), absl::Milliseconds(1500));
  EXPECT_EQ(plan->faults(1).fault(), v1::FAULT_KIND_STOP);
  EXPECT_EQ(FromProto(plan->faults(1).duration()), absl::Seconds(5));
  EXPECT_EQ(plan->faults(2).fault(), v1::FAULT_KIND_KILL_COORDINATOR);
  EXPECT_EQ(plan->faults(3).worker(), "node-1");
}

TEST(ChaosPlan, WhatIsWrongIsNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"faults: []", "there is no fault in it"},
      {"", "is empty"},
      {"faults:\n  - {at: 1s, fault: explode}\n", "plan.yaml:2: faults[0].fault"},
      {"faults:\n  - {at: 1s, fautl: kill}\n", "did you mean 'fault'"},
      {"faults:\n  - {at: 1s}\n", "faults[0].fault is missing"},
      {"faults:\n  - {at: -1s, fault: kill}\n", "at"},
      {"faults:\n  - {at: soon, fault: kill}\n", "plan.yaml:2: faults[0].at"},
      {"faults:\n  - {at: 1s, fault: kill, duration: 5s}\n", "kill does not last"},
      {"faults:\n  - {at: 1s, fault: cut, duration: 11m}\n", "at most 10m"},
      {"faults:\n  - {at: 1s, fault: cut, duration: 0s}\n", "more than 0"},
      {"faults:\n  - {at: 1s, fault: add, worker: node-1}\n", "add concerns no worker"},
  };
  for (const auto& [yaml, expected] : cases) {
    const auto plan = ParseChaosPlan(yaml, "plan.yaml");
    ASSERT_FALSE(plan.ok()) << yaml;
    EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument) << yaml;
    EXPECT_THAT(std::string(plan.status().message()), AllOf(HasSubstr("plan.yaml"), HasSubstr(expected)))
        << yaml;
  }
}

TEST(ChaosPlan, RandomKillsAreTheSameForTheSameSeedAndHaveTheMean) {
  const auto plan = RandomKills(absl::Seconds(30), absl::Hours(100), 1);
  EXPECT_EQ(plan.SerializeAsString(),
            RandomKills(absl::Seconds(30), absl::Hours(100), 1).SerializeAsString());
  EXPECT_NE(plan.SerializeAsString(),
            RandomKills(absl::Seconds(30), absl::Hours(100), 2).SerializeAsString());
  EXPECT_NEAR(plan.faults_size(), 12000, 400);  // its standard deviation is 110
  EXPECT_EQ(RandomKills(absl::Seconds(30), absl::ZeroDuration(), 1).faults_size(), 0);
}

}  // namespace
}  // namespace lockstep::chaos_plan_test
