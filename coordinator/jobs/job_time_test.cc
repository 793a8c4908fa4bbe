#include "coordinator/jobs/job_time.h"

#include <gtest/gtest.h>

#include "common/base/proto_time.h"

namespace lockstep {
namespace {

v1::DeviceTime Report(int64_t since, double compute) {
  v1::DeviceTime report;
  report.set_device("cpu:0");
  *report.mutable_since() = ToProto(absl::FromUnixSeconds(since));
  report.set_compute(compute);
  report.set_samples(static_cast<int64_t>(100 * compute));
  return report;
}

TEST(JobTimeTest, DevicesOfAllWorkersAddUp) {
  v1::JobTime time;
  EXPECT_TRUE(NoteDeviceTime("a", Report(1, 3), &time));
  EXPECT_TRUE(NoteDeviceTime("b", Report(1, 4), &time));
  EXPECT_DOUBLE_EQ(TotalTime(time).compute(), 7);
  EXPECT_EQ(TotalTime(time).samples(), 700);
}

TEST(JobTimeTest, ARepeatedOrOvertakenReportChangesNothing) {
  v1::JobTime time;
  NoteDeviceTime("a", Report(1, 3), &time);
  EXPECT_FALSE(NoteDeviceTime("a", Report(1, 3), &time));
  EXPECT_FALSE(NoteDeviceTime("a", Report(1, 2), &time));
  EXPECT_DOUBLE_EQ(TotalTime(time).compute(), 3);
}

TEST(JobTimeTest, ANewSpellAddsToTheOneBeforeWhoseLateReportsAreIgnored) {
  v1::JobTime time;
  NoteDeviceTime("a", Report(1, 3), &time);
  EXPECT_TRUE(NoteDeviceTime("a", Report(5, 1), &time));
  EXPECT_FALSE(NoteDeviceTime("a", Report(1, 3), &time));
  EXPECT_DOUBLE_EQ(TotalTime(time).compute(), 4);
  EXPECT_EQ(time.devices_size(), 1);
}

TEST(JobTimeTest, GoesOnAfterBeingStored) {
  v1::JobTime time;
  NoteDeviceTime("a", Report(1, 3), &time);
  v1::JobTime loaded;
  ASSERT_TRUE(loaded.ParseFromString(time.SerializeAsString()));
  NoteDeviceTime("a", Report(1, 5), &loaded);  // the device worked on while the coordinator was away
  EXPECT_DOUBLE_EQ(TotalTime(loaded).compute(), 5);
}

TEST(JobTimeTest, GoodputIsTheStepsShareOfAllButIdle) {
  v1::DeviceTime time;
  EXPECT_EQ(Goodput(time), std::nullopt);
  time.set_idle(100);
  EXPECT_EQ(Goodput(time), std::nullopt) << "no second that a step could have had";
  time.set_recovery(1);
  EXPECT_EQ(Goodput(time), 0);
  time.set_compute(2);
  time.set_communication(1);
  EXPECT_DOUBLE_EQ(Goodput(time).value_or(-1), 0.75);
  time.set_input(0.5);
  time.set_checkpoint(0.5);
  EXPECT_DOUBLE_EQ(Goodput(time).value_or(-1), 0.6);
}

}  // namespace
}  // namespace lockstep
