#include "worker/agent/device_ledger.h"

#include <gtest/gtest.h>

#include "common/base/proto_time.h"

namespace lockstep::device_ledger_test {
namespace {

const absl::Time kSince = absl::UnixEpoch() + absl::Hours(1);

absl::Duration At(double seconds) { return absl::Seconds(1'000 + seconds); }

v1::Assignment Order(int64_t generation) {
  v1::Assignment order;
  order.set_job_id("job");
  order.set_device("cpu:0");
  order.set_generation(generation);
  return order;
}

v1::DeviceTime Trainer(double compute, double communication) {
  v1::DeviceTime time;
  time.set_compute(compute);
  time.set_communication(communication);
  time.set_steps(10);
  return time;
}

TEST(DeviceLedgerTest, ASpellThatEndsWellAddsUpToItsWallClock) {
  DeviceLedger ledger(At(0));
  ledger.Begin(Order(1), kSince, At(5));
  ledger.Fetched(At(6));
  ledger.Given(At(6.5));
  ledger.Report(Trainer(2, 1));
  EXPECT_DOUBLE_EQ(SumOfKinds(*ledger.Spell()), 1.5 + 3);
  ledger.Report(Trainer(4, 1));
  ledger.End(/*lost=*/false, At(12));
  EXPECT_FALSE(ledger.Spell().has_value());
  const v1::DeviceTime& spell = *ledger.ended();
  EXPECT_EQ(spell.job_id(), "job");
  EXPECT_EQ(FromProto(spell.since()), kSince);
  EXPECT_DOUBLE_EQ(spell.input(), 1);
  EXPECT_DOUBLE_EQ(spell.compute(), 4);
  EXPECT_DOUBLE_EQ(spell.recovery(), 0);
  EXPECT_DOUBLE_EQ(spell.idle(), 1);  // until a trainer had it, and the end
  EXPECT_DOUBLE_EQ(SumOfKinds(spell), 7);
  EXPECT_EQ(spell.steps(), 10);
  EXPECT_DOUBLE_EQ(SumOfKinds(ledger.Totals(At(20))), 20);
  EXPECT_DOUBLE_EQ(ledger.Totals(At(20)).idle(), 5 + 1 + 8);
}

TEST(DeviceLedgerTest, WhatADeadTrainerDidNotReportIsRecovery) {
  DeviceLedger ledger(At(0));
  ledger.Begin(Order(1), kSince, At(0));
  ledger.Fetched(At(0));
  ledger.Given(At(0));
  ledger.Report(Trainer(3, 0));
  ledger.End(/*lost=*/true, At(10));
  EXPECT_DOUBLE_EQ(ledger.ended()->compute(), 3);
  EXPECT_DOUBLE_EQ(ledger.ended()->recovery(), 7);
}

TEST(DeviceLedgerTest, WaitingInALaterGenerationIsRecovery) {
  DeviceLedger ledger(At(0));
  ledger.Begin(Order(2), kSince, At(0));
  ledger.Fetched(At(1));
  ledger.Given(At(4));
  EXPECT_DOUBLE_EQ(ledger.Spell()->input(), 1);
  EXPECT_DOUBLE_EQ(ledger.Spell()->recovery(), 3);
  EXPECT_DOUBLE_EQ(ledger.Spell()->idle(), 0);
}

TEST(DeviceLedgerTest, AnOrderThatIsGivenTwiceIsCountedOnce) {
  DeviceLedger ledger(At(0));
  ledger.Begin(Order(1), kSince, At(0));
  ledger.Fetched(At(0));
  ledger.Given(At(0));
  ledger.Report(Trainer(1, 0));
  ledger.TakenBack(At(2));
  ledger.Given(At(5));
  ledger.Report(Trainer(0.5, 0));  // another process: its totals begin anew
  ledger.End(/*lost=*/false, At(6));
  EXPECT_DOUBLE_EQ(ledger.ended()->compute(), 1.5);
  EXPECT_DOUBLE_EQ(ledger.ended()->recovery(), 1);
  EXPECT_DOUBLE_EQ(SumOfKinds(*ledger.ended()), 6);
}

TEST(DeviceLedgerTest, ASpellsEnergyIsBetweenItsReadings) {
  DeviceLedger ledger(At(0));
  ledger.Meter(100);  // nobody's
  ledger.Begin(Order(1), kSince, At(0));
  ledger.Meter(250);
  ledger.Meter(300);
  EXPECT_DOUBLE_EQ(ledger.Spell()->joules(), 50);
  ledger.Meter(10);  // the driver was reloaded
  ledger.End(/*lost=*/false, At(6));
  EXPECT_DOUBLE_EQ(ledger.ended()->joules(), 50);
  ledger.Begin(Order(2), kSince, At(7));
  ledger.Meter(20);
  ledger.Meter(25);
  EXPECT_DOUBLE_EQ(ledger.Spell()->joules(), 5);
  EXPECT_DOUBLE_EQ(ledger.Totals(At(8)).joules(), 55);
}

TEST(DeviceLedgerTest, AnOlderReportChangesNothing) {
  DeviceLedger ledger(At(0));
  ledger.Begin(Order(1), kSince, At(0));
  ledger.Given(At(0));
  ledger.Report(Trainer(3, 0));
  ledger.Report(Trainer(2, 0));
  EXPECT_DOUBLE_EQ(ledger.Spell()->compute(), 3);
}

}  // namespace
}  // namespace lockstep::device_ledger_test
