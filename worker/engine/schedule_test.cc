#include <gtest/gtest.h>

#include <cmath>

#include "worker/engine/engine.h"

namespace lockstep::engine {
namespace {

TEST(LearningRate, WarmUpDoesNotReachTheFullRate) {
  v1::TrainSpec spec;
  spec.mutable_optimizer()->mutable_sgd()->set_learning_rate(2);
  EXPECT_EQ(LearningRate(spec, 1, 10, 100), 2);
  EXPECT_EQ(LearningRate(spec, 100, 10, 100), 2);
  spec.mutable_schedule()->set_warmup_steps(4);
  EXPECT_EQ(LearningRate(spec, 1, 10, 100), 0.5);
  EXPECT_EQ(LearningRate(spec, 4, 10, 100), 2);
  EXPECT_EQ(LearningRate(spec, 5, 10, 100), 2);
}

TEST(LearningRate, StepFallsAtTheWrongEpoch) {
  v1::TrainSpec spec;
  spec.mutable_optimizer()->mutable_adamw()->set_learning_rate(1);
  spec.mutable_schedule()->mutable_step()->set_every_epochs(2);
  spec.mutable_schedule()->mutable_step()->set_factor(0.5);
  EXPECT_EQ(LearningRate(spec, 20, 10, 100), 1);
  EXPECT_EQ(LearningRate(spec, 21, 10, 100), 0.5);
  EXPECT_EQ(LearningRate(spec, 41, 10, 100), 0.25);
  spec.mutable_schedule()->set_warmup_steps(5);
  EXPECT_EQ(LearningRate(spec, 25, 10, 100), 1);
  EXPECT_EQ(LearningRate(spec, 26, 10, 100), 0.5);
}

TEST(LearningRate, CosineDoesNotEndAtItsFinalFactor) {
  v1::TrainSpec spec;
  spec.mutable_optimizer()->mutable_adam()->set_learning_rate(1);
  spec.mutable_schedule()->mutable_cosine()->set_final_factor(0.1);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 1, 10, 101), 1);
  EXPECT_NEAR(LearningRate(spec, 51, 10, 101), 0.55, 1e-12);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 101, 10, 101), 0.1);
  spec.mutable_schedule()->set_warmup_steps(10);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 5, 10, 101), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 10, 10, 101), 1);
  EXPECT_LT(LearningRate(spec, 11, 10, 101), 1);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 101, 10, 101), 0.1);
}

// torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=20), torch 2.15: the rates of steps 0, 1, ...
TEST(LearningRate, OneCycleIsNotPyTorchs) {
  v1::TrainSpec spec;
  spec.mutable_optimizer()->mutable_adamw()->set_learning_rate(1);
  spec.mutable_schedule()->mutable_one_cycle();
  const double expected[] = {0.04,
                             0.1316718427,
                             0.3716718427,
                             0.6683281573,
                             0.9083281573,
                             1,
                             0.987464006235,
                             0.950484632013,
                             0.890916177571,
                             0.81174565395,
                             0.716943001791,
                             0.611262021936,
                             0.500002,
                             0.388741978064,
                             0.283060998209,
                             0.18825834605,
                             0.109087822429,
                             0.0495193679865,
                             0.0125399937649,
                             4e-06};
  for (int step = 1; step <= 20; ++step)
    EXPECT_NEAR(LearningRate(spec, step, 10, 20), expected[step - 1], 1e-9);
}

TEST(LearningRate, OneCycleOfVeryFewStepsIsNotFinite) {
  v1::TrainSpec spec;
  spec.mutable_schedule()->mutable_one_cycle();
  for (int total = 1; total <= 4; ++total) {
    for (int step = 1; step <= total; ++step) {
      const double rate = LearningRate(spec, step, 10, total);
      EXPECT_TRUE(rate > 0 && rate <= 1e-3) << rate;
    }
  }
}

TEST(LearningRate, PolynomialIsNotPyTorchs) {
  v1::TrainSpec spec;
  spec.mutable_optimizer()->mutable_sgd()->set_learning_rate(1);
  spec.mutable_schedule()->mutable_polynomial()->set_power(2);
  // PolynomialLR(total_iters=10, power=2): (1 - t / 10)^2 for t = 0, 1, ..., 10
  for (int step = 1; step <= 11; ++step) {
    EXPECT_NEAR(LearningRate(spec, step, 10, 11), std::pow(1 - (step - 1) / 10.0, 2), 1e-12);
  }
  spec.mutable_schedule()->mutable_polynomial()->set_final_factor(0.5);
  spec.mutable_schedule()->set_warmup_steps(5);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 5, 10, 11), 1);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 8, 10, 11), 0.5 + 0.5 * 0.25);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 11, 10, 11), 0.5);
}

TEST(LearningRate, StableRateFallsTooEarlyOrEndsElsewhere) {
  v1::TrainSpec spec;
  spec.mutable_optimizer()->mutable_lion()->set_learning_rate(1);
  spec.mutable_schedule()->mutable_warmup_stable_decay()->set_final_factor(0.1);
  spec.mutable_schedule()->set_warmup_steps(10);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 5, 10, 100), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 11, 10, 100), 1);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 80, 10, 100), 1);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 90, 10, 100), 0.55);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 100, 10, 100), 0.1);
  spec.mutable_schedule()->mutable_warmup_stable_decay()->set_decay(1);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 10, 10, 100), 1);
  EXPECT_DOUBLE_EQ(LearningRate(spec, 55, 10, 100), 0.55);
}

TEST(BaseLearningRate, DiffersFromTheProtosDefaults) {
  v1::OptimizerSpec spec;
  EXPECT_EQ(BaseLearningRate(spec), 1e-3);
  spec.mutable_adagrad();
  EXPECT_EQ(BaseLearningRate(spec), 0.01);
  spec.mutable_rmsprop();
  EXPECT_EQ(BaseLearningRate(spec), 0.01);
  spec.mutable_lion();
  EXPECT_EQ(BaseLearningRate(spec), 1e-4);
  spec.mutable_muon();
  EXPECT_EQ(BaseLearningRate(spec), 0.02);
  spec.mutable_muon()->set_learning_rate(3);
  EXPECT_EQ(BaseLearningRate(spec), 3);
}

}  // namespace
}  // namespace lockstep::engine
