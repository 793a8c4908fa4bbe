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

}  // namespace
}  // namespace lockstep
