#include "coordinator/autoscale/decide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::decide_test {
namespace {

using ::testing::HasSubstr;

class Decide : public testing::Test {
 protected:
  // `minute` of the test, what is wanted, what is there.
  int At(double minute, int64_t wanted, int replicas, int busy = 0, int each = 1) {
    return Full(minute, wanted, replicas, busy, each).replicas;
  }
  ScaleDecision Full(double minute, int64_t wanted, int replicas, int busy = 0, int each = 1) {
    return DecideScale(absl::FromUnixSeconds(1'800'000'000) + minute * absl::Minutes(1),
                       {wanted, each, busy, replicas}, limits_, &history_);
  }
  ScaleLimits limits_{.floor = 1, .ceiling = 8, .cooldown = absl::Minutes(5)};
  ScaleHistory history_;
};

TEST_F(Decide, MoreWorkersComeAtOnceUpToTheCeiling) {
  EXPECT_EQ(At(0, 3, 1), 3);
  EXPECT_EQ(At(0.1, 100, 3), 8);
}

TEST_F(Decide, DevicesOfAWorkerAreCountedTogether) {
  EXPECT_EQ(At(0, 5, 0, 0, 4), 2);
  EXPECT_EQ(At(0, 8, 0, 0, 4), 2);
  EXPECT_EQ(At(0, 9, 0, 0, 4), 3);
}

TEST_F(Decide, FewerComeOnlyAfterTheCooldownSinceMoreWereWanted) {
  At(0, 6, 6);
  At(9, 6, 6);
  EXPECT_EQ(At(10, 2, 6), 6);
  EXPECT_EQ(At(14.9, 2, 6), 6);
  EXPECT_EQ(At(15, 2, 6), 2);
}

TEST_F(Decide, AShortWishBetweenHoldsItsOwnNumberOnly) {
  At(0, 6, 6);
  At(10, 1, 6);
  At(12, 4, 6);
  At(13, 1, 6);
  EXPECT_EQ(At(14.9, 1, 6), 6);
  EXPECT_EQ(At(15, 1, 6), 4);
  EXPECT_EQ(At(17.9, 1, 4), 4);
  EXPECT_EQ(At(18, 1, 4), 1);
}

TEST_F(Decide, ACoordinatorThatJustStartedKnowsNothingOfTheTimeBefore) {
  EXPECT_EQ(At(0, 0, 5), 5);
  EXPECT_EQ(At(4.9, 0, 5), 5);
  EXPECT_EQ(At(5, 0, 5), 1);
}

TEST_F(Decide, AWorkerWithAJobStaysWithAllBelowIt) {
  At(0, 2, 5, 4);
  EXPECT_EQ(At(6, 2, 5, 4), 4);
  const ScaleDecision stays = Full(7, 2, 5, 5);
  EXPECT_EQ(stays.replicas, 5);
  EXPECT_THAT(stays.reason, HasSubstr("has a job"));
}

TEST_F(Decide, WhatSomebodyScaledBeyondTheCeilingComesBackAfterTheCooldown) {
  At(0, 100, 12);
  EXPECT_EQ(At(1, 100, 12), 12);
  EXPECT_EQ(At(6, 100, 12), 8);
}

TEST(ReadSet, OnlyTheSetsOwnWorkersCount) {
  std::vector<v1::Worker> workers;
  const auto add = [&workers](const char* name, int devices, bool busy, v1::WorkerState state) {
    v1::Worker& worker = workers.emplace_back();
    worker.set_name(name);
    worker.set_state(state);
    for (int i = 0; i < devices; ++i) worker.add_devices();
    if (busy) worker.mutable_devices(devices - 1)->set_job_id("job");
  };
  add("lockstep-worker-0", 2, false, v1::WORKER_STATE_READY);
  add("lockstep-worker-10", 2, true, v1::WORKER_STATE_READY);
  add("lockstep-worker-11", 8, false, v1::WORKER_STATE_LOST);
  add("lockstep-worker-x", 9, true, v1::WORKER_STATE_READY);
  add("node-99", 9, true, v1::WORKER_STATE_READY);
  const SetFacts facts = ReadSet("lockstep-worker", workers);
  EXPECT_EQ(facts.devices_per_worker, 2);
  EXPECT_EQ(facts.busy_workers, 11);
}

}  // namespace
}  // namespace lockstep::decide_test
