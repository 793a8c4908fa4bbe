#include "kernels/hinge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/test_support.h"

namespace lockstep::kernels::hinge_test {
namespace {

double Loss(const std::vector<double>& z, int label) {
  double sum = 0;
  for (size_t c = 0; c < z.size(); ++c) {
    if (static_cast<int>(c) != label) sum += std::max(0.0, 1 + z[c] - z[label]);
  }
  return sum;
}

TEST(Hinge, DiffersFromFloat64OrItsFiniteDifferences) {
  for (const int classes : {2, 3, 16, 17, 33, 100}) {
    const int rows = 9;
    const std::vector<float> scores = Random(rows * classes, -2, 2, classes);
    std::vector<int32_t> labels(rows);
    for (int r = 0; r < rows; ++r) labels[r] = r * 31 % classes;
    std::vector<float> work = scores, losses(rows), correct(rows);
    cpu::Hinge(rows, classes, 0.125f, labels.data(), work.data(), losses.data(), correct.data());
    for (int r = 0; r < rows; ++r) {
      std::vector<double> z(scores.begin() + r * classes, scores.begin() + (r + 1) * classes);
      EXPECT_NEAR(losses[r], Loss(z, labels[r]), 1e-5 * classes);
      EXPECT_EQ(correct[r], std::max_element(z.begin(), z.end()) - z.begin() == labels[r] ? 1.0f : 0.0f);
      for (int c = 0; c < classes; ++c) {
        const double kept = z[c], h = 1e-7;  // no margin of these inputs is that near to its kink
        z[c] = kept + h;
        const double above = Loss(z, labels[r]);
        z[c] = kept - h;
        const double below = Loss(z, labels[r]);
        z[c] = kept;
        EXPECT_NEAR(work[r * classes + c], 0.125 * (above - below) / (2 * h), 1e-4) << r << " " << c;
      }
    }
  }
}

TEST(Hinge, MarginOfExactlyOneCostsSomething) {
  std::vector<float> scores = {3, 2, 1};
  const int32_t label = 0;
  float loss = -1, correct = -1;
  cpu::Hinge(1, 3, 1.0f, &label, scores.data(), &loss, &correct);
  EXPECT_EQ(loss, 0.0f);
  EXPECT_EQ(correct, 1.0f);
  EXPECT_EQ(scores, std::vector<float>(3, 0.0f));
}

TEST(Hinge, NanScoreIsSwallowed) {
  for (const int at : {0, 2, 5, 19}) {
    std::vector<float> scores(20, 0.5f);
    scores[at] = std::numeric_limits<float>::quiet_NaN();
    const int32_t label = 2;
    float loss = 0, correct = 0;
    cpu::Hinge(1, 20, 1.0f, &label, scores.data(), &loss, &correct);
    EXPECT_TRUE(std::isnan(loss)) << at;
  }
}

TEST(Hinge, RowWithoutALabelCounts) {
  std::vector<float> scores = {1, 2, 3};
  const int32_t label = -1;
  float loss = -1, correct = -1;
  cpu::Hinge(1, 3, 1.0f, &label, scores.data(), &loss, &correct);
  EXPECT_EQ(loss, 0.0f);
  EXPECT_EQ(correct, 0.0f);
  EXPECT_EQ(scores, std::vector<float>(3, 0.0f));
}

}  // namespace
}  // namespace lockstep::kernels::hinge_test
