#include "kernels/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/test_support.h"

namespace lockstep::kernels::rope_test {
namespace {

constexpr double kTheta = 500.0;

// Row, step and head of `x` in the form of Hugging Face: x cos + rotate_half(x) sin.
double Reference(const std::vector<float>& x, int64_t base, int64_t step, int64_t width, int64_t column) {
  const int64_t half = width / 2;
  const double angle = step * std::pow(kTheta, -2.0 * static_cast<double>(column % half) / width);
  const double rotated = column < half ? -x[base + column + half] : x[base + column - half];
  return x[base + column] * std::cos(angle) + rotated * std::sin(angle);
}

TEST(Rope, ForwardDiffersFromFloat64OrBackwardIsNotItsTranspose) {
  for (const int64_t width : {2, 6, 32, 50}) {
    const RopeShape shape{9, 3, width, 4 * width + 5};  // one foreign head and five floats between the steps
    const int64_t rows = 2, half = width / 2;
    std::vector<float> cosine(9 * half), sine(9 * half);
    cpu::RopeTable(9, width, kTheta, cosine.data(), sine.data());
    const std::vector<float> x = Random(rows * 9 * shape.stride, -2, 2, 1);
    std::vector<float> y = x, back = x;
    cpu::RopeForward(shape, rows, cosine.data(), sine.data(), y.data());
    cpu::RopeBackward(shape, rows, cosine.data(), sine.data(), back.data());
    // <R x, x> = <x, R^T x> for the whole; and R^T R = 1.
    std::vector<float> same = y;
    cpu::RopeBackward(shape, rows, cosine.data(), sine.data(), same.data());
    double forward = 0, backward = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto place = static_cast<int64_t>(i);
      const int64_t step = place / shape.stride % 9, column = place % shape.stride;
      if (column >= 3 * width) {
        EXPECT_EQ(y[i], x[i]) << "outside of the heads";
        continue;
      }
      const int64_t base = place - column % width;
      EXPECT_NEAR(y[i], Reference(x, base, step, width, column % width), 2e-6);
      EXPECT_NEAR(same[i], x[i], 2e-6);
      forward += double{y[i]} * x[i];
      backward += double{back[i]} * x[i];
    }
    EXPECT_NEAR(forward, backward, 1e-4);
  }
}

}  // namespace
}  // namespace lockstep::kernels::rope_test
