#include "worker/trainer/pulse.h"

#include <gtest/gtest.h>

#include "common/base/proto_time.h"
#include "lockstep/v1/trainer.pb.h"

namespace lockstep {
namespace {

TEST(StepLimitTest, WithoutAStepThereIsNoLimitThenAMinuteThenTwentyTimesTheMedian) {
  StepLimit limit{v1::WorkersSpec()};
  EXPECT_EQ(limit.limit(), absl::InfiniteDuration());
  limit.Add(absl::Milliseconds(1));
  EXPECT_EQ(limit.limit(), absl::Minutes(1));
  for (int i = 0; i < 40; ++i) limit.Add(absl::Seconds(10));
  EXPECT_EQ(limit.limit(), absl::Seconds(200));
  limit.Add(absl::Hours(1));  // one odd step changes nothing
  EXPECT_EQ(limit.limit(), absl::Seconds(200));
  for (int i = 0; i < 200; ++i) limit.Add(absl::Seconds(4));
  EXPECT_EQ(limit.limit(), absl::Seconds(80));
}

TEST(StepLimitTest, TheSpecsLimitStands) {
  v1::WorkersSpec spec;
  spec.mutable_step_limit()->set_seconds(3);
  StepLimit limit(spec);
  limit.Add(absl::Seconds(100));
  EXPECT_EQ(limit.limit(), absl::Seconds(3));
}

TEST(PulseTest, BeatsAndSaysForHowLongAStepIsUnderWay) {
  const auto pair = Channel::MakePair();
  ASSERT_TRUE(pair.ok());
  Channel agent(pair->first), trainer(pair->second);
  DeviceClock clock(TimeKind::kIdle);
  Pulse pulse(&trainer, &clock, v1::WorkersSpec());
  v1::FromTrainer message;
  ASSERT_TRUE(agent.Receive(&message).ok());
  EXPECT_TRUE(message.has_pulse());
  EXPECT_GT(message.pulse().time().idle(), 0);
  pulse.Begin();
  do {
    ASSERT_TRUE(agent.Receive(&message).ok());
  } while (!message.pulse().has_working());
  const absl::Duration first = FromProto(message.pulse().working());
  ASSERT_TRUE(agent.Receive(&message).ok());
  EXPECT_GT(FromProto(message.pulse().working()), first);
  pulse.End();
  do {
    ASSERT_TRUE(agent.Receive(&message).ok());
  } while (message.pulse().has_working());
  EXPECT_EQ(FromProto(message.pulse().limit()), absl::Minutes(1));
}

}  // namespace
}  // namespace lockstep
