#include "common/evaluation/totals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lockstep {
namespace {

TEST(ClassifyRow, LossIsMinusLogSoftmaxAndSurvivesLargeLogits) {
  const std::vector<float> logits = {1000.0f, 1001.0f, 999.0f};
  const RowOutcome outcome = ClassifyRow(logits, 0);
  EXPECT_EQ(outcome.predicted, 1);
  EXPECT_NEAR(outcome.loss, std::log(std::exp(-1.0) + 1 + std::exp(-2.0)) + 1, 1e-12);
}

TEST(ClassifyRow, FirstOfEqualLogitsWins) {
  EXPECT_EQ(ClassifyRow(std::vector<float>{2, 5, 5}, 0).predicted, 1);
}

// Figures of scikit-learn's classification_report for truth 0,0,0,1,1,2 and prediction 0,0,1,1,2,2.
TEST(ClassificationMetrics, MacroAveragesMatchTheReference) {
  const std::vector<int64_t> confusion = {2, 1, 0, 0, 1, 1, 0, 0, 1};
  ShardTotals totals;
  totals.rows = 6;
  totals.loss = 3;
  auto metrics = ClassificationMetrics(totals, confusion, 3);
  EXPECT_DOUBLE_EQ(metrics["loss"], 0.5);
  EXPECT_NEAR(metrics["accuracy"], 4.0 / 6, 1e-12);
  EXPECT_NEAR(metrics["precision"], (1.0 + 0.5 + 0.5) / 3, 1e-12);
  EXPECT_NEAR(metrics["recall"], (2.0 / 3 + 0.5 + 1.0) / 3, 1e-12);
  EXPECT_NEAR(metrics["f1"], (0.8 + 0.5 + 2.0 / 3) / 3, 1e-12);
}

TEST(ClassificationMetrics, ClassThatNeverOccursDoesNotCount) {
  const std::vector<int64_t> confusion = {3, 0, 0, 0};
  ShardTotals totals;
  totals.rows = 3;
  EXPECT_DOUBLE_EQ(ClassificationMetrics(totals, confusion, 2)["f1"], 1.0);
}

TEST(LanguageModelMetrics, PerplexityIsTheExponentialOfTheLossPerToken) {
  ShardTotals totals;
  totals.rows = 8;
  totals.loss = 8 * std::log(5.0);
  totals.correct = 2;
  auto metrics = LanguageModelMetrics(totals);
  EXPECT_NEAR(metrics["loss"], std::log(5.0), 1e-12);
  EXPECT_NEAR(metrics["perplexity"], 5, 1e-12);
  EXPECT_DOUBLE_EQ(metrics["accuracy"], 0.25);
  EXPECT_DOUBLE_EQ(Add(std::vector<ShardTotals>{totals, totals}).correct, 4);
}

TEST(HingeRow, IsTheSumOfTheMarginsThatAreNotKept) {
  const std::vector<float> scores = {2.0f, 2.5f, -3.0f, 1.5f};
  const RowOutcome outcome = HingeRow(scores, 0);
  EXPECT_EQ(outcome.predicted, 1);
  EXPECT_DOUBLE_EQ(outcome.loss, 1.5 + 0.5);
  EXPECT_TRUE(std::isnan(HingeRow(std::vector<float>{0.0f, NAN}, 0).loss));
}

TEST(ReconstructionMetrics, MatchTheDefinition) {
  ShardTotals totals;
  totals.rows = 4;
  totals.loss = 1;
  totals.absolute_error = 1.6;
  auto metrics = ReconstructionMetrics(totals);
  EXPECT_DOUBLE_EQ(metrics["mse"], 0.25);
  EXPECT_DOUBLE_EQ(metrics["loss"], 0.25);
  EXPECT_DOUBLE_EQ(metrics["rmse"], 0.5);
  EXPECT_DOUBLE_EQ(metrics["mae"], 0.4);
}

TEST(RegressionMetrics, MatchTheDefinition) {
  // targets 1, 2, 3, 4; predictions 1.5, 2, 2.5, 5
  ShardTotals totals;
  totals.rows = 4;
  totals.target = 10;
  totals.target_squared = 30;
  totals.squared_error = 0.25 + 0 + 0.25 + 1;
  totals.absolute_error = 0.5 + 0 + 0.5 + 1;
  auto metrics = RegressionMetrics(totals);
  EXPECT_NEAR(metrics["rmse"], std::sqrt(1.5 / 4), 1e-12);
  EXPECT_NEAR(metrics["mae"], 0.5, 1e-12);
  EXPECT_NEAR(metrics["r2"], 1 - 1.5 / 5, 1e-12);
}

TEST(RegressionMetrics, EqualTargetsGiveNoDivisionByZero) {
  ShardTotals totals;
  totals.rows = 2;
  totals.target = 4;
  totals.target_squared = 8;
  EXPECT_EQ(RegressionMetrics(totals)["r2"], 0);
}

}  // namespace
}  // namespace lockstep
