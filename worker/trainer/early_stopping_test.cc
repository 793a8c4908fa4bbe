#include "worker/trainer/early_stopping.h"

#include <gtest/gtest.h>

#include <limits>

namespace lockstep {
namespace {

v1::TrainSpec Spec(const std::string& metric, int patience, double min_delta = 0) {
  v1::TrainSpec spec;
  spec.mutable_early_stopping()->set_metric(metric);
  spec.mutable_early_stopping()->set_patience(patience);
  spec.mutable_early_stopping()->set_min_delta(min_delta);
  return spec;
}

TEST(EarlyStopping, StopsAfterPatienceWithoutImprovement) {
  EarlyStopping stopping(Spec("validation/loss", 2));
  EXPECT_TRUE(stopping.Observe({{"validation/loss", 1.0}}, 1));
  EXPECT_TRUE(stopping.Observe({{"validation/loss", 0.5}}, 2));
  EXPECT_FALSE(stopping.Observe({{"validation/loss", 0.6}}, 3));
  EXPECT_FALSE(stopping.should_stop());
  EXPECT_FALSE(stopping.Observe({{"validation/loss", 0.5}}, 4));  // an equal value is no improvement
  EXPECT_TRUE(stopping.should_stop());
  EXPECT_EQ(stopping.best_epoch(), 2);
}

TEST(EarlyStopping, AccuracyIsBetterWhenHigher) {
  EarlyStopping stopping(Spec("validation/accuracy", 1));
  EXPECT_TRUE(stopping.Observe({{"validation/accuracy", 0.5}}, 1));
  EXPECT_TRUE(stopping.Observe({{"validation/accuracy", 0.6}}, 2));
  EXPECT_FALSE(stopping.Observe({{"validation/accuracy", 0.55}}, 3));
  EXPECT_TRUE(stopping.should_stop());
}

TEST(EarlyStopping, GainBelowMinDeltaDoesNotCount) {
  EarlyStopping stopping(Spec("validation/loss", 1, 0.1));
  EXPECT_TRUE(stopping.Observe({{"validation/loss", 1.0}}, 1));
  EXPECT_FALSE(stopping.Observe({{"validation/loss", 0.95}}, 2));
}

TEST(EarlyStopping, NaNIsNeverTheBest) {
  EarlyStopping stopping(Spec("validation/loss", 3));
  EXPECT_FALSE(stopping.Observe({{"validation/loss", std::numeric_limits<double>::quiet_NaN()}}, 1));
  EXPECT_FALSE(stopping.has_best());
}

TEST(EarlyStopping, StateSurvivesTextBitForBit) {
  EarlyStopping first(Spec("validation/loss", 3)), second(Spec("validation/loss", 3));
  first.Observe({{"validation/loss", 0.1 + 0.2}}, 1);
  first.Observe({{"validation/loss", 5}}, 2);
  ASSERT_TRUE(second.SetState(first.state()).ok());
  EXPECT_EQ(second.best_value(), 0.1 + 0.2);
  EXPECT_EQ(second.state(), first.state());
}

TEST(EarlyStopping, ForeignStateIsRefused) {
  EarlyStopping stopping(Spec("validation/loss", 3));
  EXPECT_FALSE(stopping.SetState({{"step", "3"}}).ok());
}

TEST(EarlyStopping, WithoutSpecItWatchesButNeverStops) {
  EarlyStopping stopping{v1::TrainSpec()};
  stopping.Observe({{"validation/loss", 1}}, 1);
  for (int epoch = 2; epoch < 100; ++epoch) stopping.Observe({{"validation/loss", 2}}, epoch);
  EXPECT_FALSE(stopping.should_stop());
}

}  // namespace
}  // namespace lockstep
