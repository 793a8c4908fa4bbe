#include "kernels/cross_entropy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/squared_error.h"
#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

TEST(SoftmaxCrossEntropy, DiffersFromFloat64) {
  for (const int classes : {2, 3, 10, 16, 17, 33, 1000}) {
    const int rows = 7;
    const std::vector<float> logits = Random(rows * classes, -15, 15, classes);
    std::vector<int32_t> labels(rows);
    for (int r = 0; r < rows; ++r) labels[r] = r * 31 % classes;
    std::vector<float> work = logits, losses(rows), correct(rows);
    const float scale = 0.125f;
    cpu::SoftmaxCrossEntropy(rows, classes, scale, labels.data(), work.data(), losses.data(), correct.data());
    for (int r = 0; r < rows; ++r) {
      const float* z = logits.data() + r * classes;
      const double max = *std::max_element(z, z + classes);
      double sum = 0;
      for (int c = 0; c < classes; ++c) sum += std::exp(z[c] - max);
      const double loss = std::log(sum) - (z[labels[r]] - max);
      EXPECT_NEAR(losses[r], loss, 1e-5 + 1e-6 * loss);
      EXPECT_EQ(correct[r], std::max_element(z, z + classes) - z == labels[r] ? 1.0f : 0.0f);
      for (int c = 0; c < classes; ++c) {
        const double expected = (std::exp(z[c] - max) / sum - (c == labels[r])) * scale;
        EXPECT_NEAR(work[r * classes + c], expected, 1e-7);
      }
    }
  }
}

// The loss in double, of one row.
double SmoothedLoss(const std::vector<double>& z, int label, double smoothing) {
  double sum = 0, loss = 0;
  for (const double logit : z) sum += std::exp(logit);
  for (size_t c = 0; c < z.size(); ++c) {
    const double target = smoothing / z.size() + (static_cast<int>(c) == label ? 1 - smoothing : 0);
    loss -= target * (z[c] - std::log(sum));
  }
  return loss;
}

TEST(SoftmaxCrossEntropy, SmoothedLabelDiffersFromFloat64OrFiniteDifference) {
  for (const int classes : {2, 17, 50}) {
    const std::vector<float> logits = Random(classes, -5, 5, classes);
    const int32_t label = classes / 2;
    std::vector<float> work = logits;
    float loss = 0, correct = 0;
    cpu::SoftmaxCrossEntropy(1, classes, 0.5f, &label, work.data(), &loss, &correct, 0.1f);
    const std::vector<double> z(logits.begin(), logits.end());
    EXPECT_NEAR(loss, SmoothedLoss(z, label, 0.1f), 3e-6);
    for (int c = 0; c < classes; ++c) {
      std::vector<double> high = z, low = z;
      high[c] += 1e-5;
      low[c] -= 1e-5;
      const double slope = (SmoothedLoss(high, label, 0.1f) - SmoothedLoss(low, label, 0.1f)) / 2e-5;
      EXPECT_NEAR(work[c], 0.5 * slope, 1e-7);
    }
  }
}

TEST(SoftmaxCrossEntropy, IgnoredRowCounts) {
  const std::vector<float> logits = Random(3 * 21, -5, 5, 8);
  std::vector<float> work = logits, losses(3), correct(3, -1), alone(&logits[42], &logits[42] + 21);
  const int32_t labels[] = {4, -1, 20};
  cpu::SoftmaxCrossEntropy(3, 21, 1.0f, labels, work.data(), losses.data(), correct.data());
  EXPECT_GT(losses[0], 0.0f);
  EXPECT_EQ(losses[1], 0.0f);
  EXPECT_EQ(correct[1], 0.0f);
  for (int c = 0; c < 21; ++c) EXPECT_EQ(work[21 + c], 0.0f);
  float loss = 0;
  cpu::SoftmaxCrossEntropy(1, 21, 1.0f, labels + 2, alone.data(), &loss, correct.data());
  EXPECT_EQ(loss, losses[2]);
  for (int c = 0; c < 21; ++c) EXPECT_EQ(work[42 + c], alone[c]);
}

TEST(SoftmaxCrossEntropy, TiedLogitsCountAsCorrectTwice) {
  const int32_t labels[] = {3, 19};
  std::vector<float> logits(2 * 20, 0.0f), losses(2), correct(2);
  for (const int at : {3, 19, 20 + 3, 20 + 19}) logits[at] = 1.0f;
  cpu::SoftmaxCrossEntropy(2, 20, 1.0f, labels, logits.data(), losses.data(), correct.data());
  EXPECT_EQ(correct, (std::vector<float>{1.0f, 0.0f}));
}

TEST(SoftmaxCrossEntropy, HugeLogitsOverflow) {
  std::vector<float> logits = {1e30f, -1e30f, 0.0f};
  const int32_t label = 0;
  float loss = -1, correct = -1;
  cpu::SoftmaxCrossEntropy(1, 3, 1.0f, &label, logits.data(), &loss, &correct);
  EXPECT_EQ(loss, 0.0f);
  EXPECT_EQ(correct, 1.0f);
  EXPECT_EQ(logits, (std::vector<float>{0, 0, 0}));
}

TEST(SoftmaxCrossEntropy, NanLogitIsSwallowed) {
  for (const int at : {0, 5, 9}) {
    std::vector<float> logits(10, 0.5f);
    logits[at] = std::numeric_limits<float>::quiet_NaN();
    const int32_t label = 2;
    float loss = 0, correct = 0;
    cpu::SoftmaxCrossEntropy(1, 10, 1.0f, &label, logits.data(), &loss, &correct);
    EXPECT_TRUE(std::isnan(loss)) << at;
  }
}

TEST(SquaredError, DiffersFromFloat64) {
  for (const int width : {1, 3, 17}) {
    const int rows = 9;
    const std::vector<float> y = Random(rows * width, -3, 3, 1), t = Random(rows * width, -3, 3, 2);
    std::vector<float> work = y, losses(rows);
    cpu::SquaredError(rows, width, 0.25f, t.data(), work.data(), losses.data());
    for (int r = 0; r < rows; ++r) {
      double loss = 0;
      for (int i = r * width; i < (r + 1) * width; ++i) {
        const double difference = double{y[i]} - t[i];
        loss += difference * difference / width;
        EXPECT_NEAR(work[i], 2 * difference * 0.25 / width, 1e-6);
      }
      EXPECT_NEAR(losses[r], loss, 1e-5);
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
