#include "worker/trainer/device_clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace lockstep {
namespace {

double Sum(const v1::DeviceTime& time) {
  return time.compute() + time.communication() + time.input() + time.checkpoint() + time.recovery() +
         time.idle();
}

TEST(DeviceClockTest, KindsAddUpToTheWallClock) {
  const auto seconds = [](DeviceClock::Clock::duration time) {
    return std::chrono::duration<double>(time).count();
  };
  const auto before = DeviceClock::Clock::now();
  DeviceClock clock(TimeKind::kIdle);
  const auto begun = DeviceClock::Clock::now();
  double compute = 0;
  for (int i = 0; i < 1'000; ++i) {
    clock.Switch(TimeKind::kCompute);
    compute += seconds(clock.Switch(TimeKind::kCommunication));
  }
  v1::DeviceTime time;
  const auto reading = DeviceClock::Clock::now();
  clock.Read(&time);
  const auto after = DeviceClock::Clock::now();
  // Between what surely lies within the clock's life and what surely holds it: a pause may come anywhere.
  EXPECT_GE(Sum(time), seconds(reading - begun) - 1e-6);
  EXPECT_LE(Sum(time), seconds(after - before) + 1e-6);
  EXPECT_NEAR(time.compute(), compute, 1e-6);
  EXPECT_EQ(time.recovery(), 0);
}

TEST(DeviceClockTest, WhatIsReadWhileItSwitchesNeverGoesBack) {
  DeviceClock clock(TimeKind::kIdle);
  std::atomic<bool> over{false};
  std::thread loop([&] {
    while (!over) {
      for (const TimeKind kind : {TimeKind::kInput, TimeKind::kCompute, TimeKind::kCommunication})
        clock.Switch(kind);
    }
  });
  v1::DeviceTime before;
  for (int i = 0; i < 20'000; ++i) {
    v1::DeviceTime now;
    clock.Read(&now);
    ASSERT_GE(now.input(), before.input());
    ASSERT_GE(now.compute(), before.compute());
    ASSERT_GE(now.communication(), before.communication());
    before = now;
  }
  over = true;
  loop.join();
}

TEST(DeviceClockTest, DurationsFallIntoTheirBuckets) {
  DeviceClock clock(TimeKind::kIdle);
  clock.CountStep(std::chrono::microseconds(100), std::chrono::microseconds(1));  // on a bound: below it
  clock.CountStep(std::chrono::milliseconds(2), std::chrono::microseconds(101));
  clock.CountStep(std::chrono::seconds(61), std::chrono::seconds(61));
  v1::Durations steps, reductions;
  clock.steps().Read(&steps);
  clock.reductions().Read(&reductions);
  ASSERT_EQ(steps.counts_size(), static_cast<int>(kStepBuckets.size()) + 1);
  EXPECT_EQ(steps.counts(0), 1);
  EXPECT_EQ(steps.counts(4), 1);
  EXPECT_EQ(steps.counts(kStepBuckets.size()), 1);
  EXPECT_EQ(reductions.counts(0), 1);
  EXPECT_EQ(reductions.counts(1), 1);
  EXPECT_NEAR(steps.sum(), 61.0021, 1e-9);
}

}  // namespace
}  // namespace lockstep
