#include "kernels/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/test_support.h"

namespace lockstep::kernels::activation_test {
namespace {

double Reference(Activation f, double z) {
  switch (f) {
    case Activation::kIdentity:
      return z;
    case Activation::kRelu:
      return z < 0 ? 0 : z;
    case Activation::kTanh:
      return std::tanh(z);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-z));
    case Activation::kGelu:
      return 0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
    case Activation::kSilu:
      return z / (1 + std::exp(-z));
  }
  return 0;
}

class ActivationTest : public testing::TestWithParam<Activation> {};
INSTANTIATE_TEST_SUITE_P(All, ActivationTest,
                         testing::Values(Activation::kIdentity, Activation::kRelu, Activation::kTanh,
                                         Activation::kSigmoid, Activation::kGelu, Activation::kSilu));

TEST_P(ActivationTest, ForwardDiffersFromFloat64) {
  for (const int width : {1, 3, 16, 37, 129}) {
    const int rows = 5;
    const std::vector<float> x = Random(rows * width, -20, 20, 1), bias = Random(width, -1, 1, 2);
    std::vector<float> z = x, y(x.size());
    cpu::BiasActivationForward(GetParam(), rows, width, bias.data(), z.data(), y.data());
    std::vector<float> in_place = x;
    if (!SavesInput(GetParam())) {
      cpu::BiasActivationForward(GetParam(), rows, width, bias.data(), in_place.data(), in_place.data());
      EXPECT_EQ(in_place, y);
    }
    for (int i = 0; i < rows * width; ++i) {
      const double expected = Reference(GetParam(), double{x[i]} + bias[i % width]);
      EXPECT_NEAR(y[i], expected, 2e-6 + 2e-6 * std::abs(expected)) << "z " << z[i];
      EXPECT_EQ(z[i], x[i] + bias[i % width]);
    }
  }
}

TEST_P(ActivationTest, BackwardDiffersFromFiniteDifference) {
  const int count = 1003;
  const std::vector<float> z = Random(count, -6, 6, 3), dy = Random(count, -1, 1, 4);
  const std::vector<float> zero(1, 0.0f);
  std::vector<float> scratch = z, y(count);
  cpu::BiasActivationForward(GetParam(), count, 1, zero.data(), scratch.data(), y.data());
  std::vector<float> dx = dy;
  cpu::ActivationBackward(GetParam(), count, SavesInput(GetParam()) ? z.data() : y.data(), dx.data(),
                          dx.data());
  for (int i = 0; i < count; ++i) {
    const double h = 1e-5;
    if (std::abs(z[i]) < 2 * h) continue;  // ReLU's corner
    const double slope = (Reference(GetParam(), z[i] + h) - Reference(GetParam(), z[i] - h)) / (2 * h);
    EXPECT_NEAR(dx[i], dy[i] * slope, 2e-6) << "z " << z[i];
  }
}

TEST_P(ActivationTest, SlopesGiveOtherBits) {
  if (!SavesInput(GetParam())) GTEST_SKIP() << "its slope is made from its value";
  for (const bool biased : {false, true}) {
    const int rows = 5, width = 37, count = rows * width;
    const std::vector<float> x = Random(count, -20, 20, 5), bias = Random(width, -1, 1, 6),
                             dy = Random(count, -1, 1, 7);
    const float* b = biased ? bias.data() : nullptr;
    std::vector<float> z = x, y(count), expected = dy, slopes = x, y_beside(count), dx = dy;
    cpu::BiasActivationForward(GetParam(), rows, width, b, z.data(), y.data());
    cpu::ActivationBackward(GetParam(), count, z.data(), expected.data(), expected.data());
    cpu::BiasActivationSlopes(GetParam(), rows, width, b, slopes.data(), y_beside.data());
    cpu::SlopesBackward(count, slopes.data(), dx.data(), dx.data());
    EXPECT_EQ(y_beside, y);
    EXPECT_EQ(dx, expected);
  }
}

TEST_P(ActivationTest, NanIsSwallowed) {
  float x = std::numeric_limits<float>::quiet_NaN(), y = 0;
  const float bias = 0;
  cpu::BiasActivationForward(GetParam(), 1, 1, &bias, &x, &y);
  EXPECT_TRUE(std::isnan(y));
}

TEST_P(ActivationTest, ExtremesOverflow) {
  for (const float extreme : {-1e30f, -100.0f, -88.0f, 88.0f, 100.0f, 1e30f}) {
    if (GetParam() == Activation::kGelu && std::abs(extreme) > 1e10f)
      continue;  // z^3 overflows in float64 terms too
    float x = extreme, y = 0;
    const float bias = 0;
    cpu::BiasActivationForward(GetParam(), 1, 1, &bias, &x, &y);
    const double expected = Reference(GetParam(), extreme);
    EXPECT_NEAR(y, expected, 1e-6 + 1e-6 * std::abs(expected)) << extreme;
  }
}

}  // namespace
}  // namespace lockstep::kernels::activation_test
