#include "worker/agent/step_average.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

v1::TrainerTimes Totals(int64_t steps, double input, double compute, double communication) {
  v1::TrainerTimes times;
  times.set_job_id("job");
  times.set_steps(steps);
  times.set_input(input);
  times.set_compute(compute);
  times.set_communication(communication);
  return times;
}

v1::Assignment Order(int64_t generation, const std::string& job = "job") {
  v1::Assignment order;
  order.set_job_id(job);
  order.set_generation(generation);
  order.set_rank(3);
  return order;
}

class StepAverageTest : public testing::Test {
 protected:
  StepAverage average_{absl::Seconds(2)};
  const absl::Time start_ = absl::UnixEpoch();
};

TEST_F(StepAverageTest, IsOfTheWindowAndGivenOnce) {
  average_.Add(Totals(100, 1, 2, 3), Order(1), start_);
  average_.Add(Totals(150, 1, 3, 3), Order(1), start_ + absl::Seconds(1));
  EXPECT_FALSE(average_.Take().has_value());
  average_.Add(Totals(200, 1.5, 4, 4), Order(1), start_ + absl::Seconds(2));
  const auto whole = average_.Take();
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(whole->job_id(), "job");
  EXPECT_EQ(whole->generation(), 1);
  EXPECT_EQ(whole->rank(), 3);
  EXPECT_DOUBLE_EQ(whole->step().input(), 0.005);
  EXPECT_DOUBLE_EQ(whole->step().compute(), 0.02);
  EXPECT_DOUBLE_EQ(whole->step().communication(), 0.01);
  EXPECT_FALSE(average_.Take().has_value());
}

TEST_F(StepAverageTest, KnowsWhatEachStepWaitedForEachRanksMessages) {
  v1::TrainerTimes times = Totals(100, 0, 0, 0);
  for (const double seconds : {0.0, 1.0, 5.0}) times.add_arriving(seconds);
  average_.Add(times, Order(1), start_);
  times.set_steps(200);
  times.set_checkpoint(3);
  times.set_arriving(1, 1.5);
  times.set_arriving(2, 7);
  average_.Add(times, Order(1), start_ + absl::Seconds(2));
  const auto whole = average_.Take();
  ASSERT_TRUE(whole.has_value());
  EXPECT_THAT(whole->step().arriving(),
              testing::ElementsAre(0, testing::DoubleEq(0.005), testing::DoubleEq(0.02)));
  EXPECT_DOUBLE_EQ(whole->step().checkpoint(), 0.03);
}

TEST_F(StepAverageTest, AStepThatTakesLongerMakesTheWindowLonger) {
  average_.Add(Totals(1, 0, 0, 0), Order(1), start_);
  average_.Add(Totals(1, 0, 5, 0), Order(1), start_ + absl::Seconds(5));
  EXPECT_FALSE(average_.Take().has_value());
  average_.Add(Totals(2, 0, 9, 0), Order(1), start_ + absl::Seconds(9));
  EXPECT_DOUBLE_EQ(average_.Take()->step().compute(), 9);
}

TEST_F(StepAverageTest, NeverReachesOverGenerationsJobsOrProcesses) {
  average_.Add(Totals(100, 0, 10, 0), Order(1), start_);
  average_.Add(Totals(200, 0, 20, 0), Order(2), start_ + absl::Seconds(3));
  EXPECT_FALSE(average_.Take().has_value());
  average_.Add(Totals(201, 0, 21, 0), Order(2, "other"), start_ + absl::Seconds(6));
  EXPECT_FALSE(average_.Take().has_value());
  average_.Add(Totals(300, 0, 40, 0), Order(2), start_ + absl::Seconds(6));
  EXPECT_DOUBLE_EQ(average_.Take()->step().compute(), 0.2);
  average_.Reset();
  average_.Add(Totals(10, 0, 1, 0), Order(2), start_ + absl::Seconds(9));
  EXPECT_FALSE(average_.Take().has_value());
}

}  // namespace
}  // namespace lockstep
