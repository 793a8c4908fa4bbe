#include "kernels/pool.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/convolution.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::pool_test {
namespace {

constexpr int64_t kRows = 3;

class PoolTest : public testing::TestWithParam<PoolShape> {
 protected:
  PoolTest()
      : s(GetParam()),
        rows(ConvolvedExtent(s.height, s.kernel, s.stride, s.padding)),
        columns(ConvolvedExtent(s.width, s.kernel, s.stride, s.padding)),
        x(Random(kRows * s.height * s.width * s.channels, -1, 1, 1)),
        dy(Random(kRows * rows * columns * s.channels, -1, 1, 2)) {
    // Ties.
    for (size_t i = 0; i < x.size(); i += 3) x[i] = 0.5f;
  }
  // Calls f(index of y, index of x, tap) for each pixel of each window.
  template <typename F>
  void ForEach(F f) const {
    for (int64_t n = 0; n < kRows; ++n) {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          for (int64_t kh = 0; kh < s.kernel; ++kh) {
            for (int64_t kw = 0; kw < s.kernel; ++kw) {
              const int64_t h = r * s.stride + kh - s.padding, w = c * s.stride + kw - s.padding;
              if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
              for (int64_t k = 0; k < s.channels; ++k) {
                f(((n * rows + r) * columns + c) * s.channels + k,
                  ((n * s.height + h) * s.width + w) * s.channels + k);
              }
            }
          }
        }
      }
    }
  }
  const PoolShape s;
  const int64_t rows, columns;
  std::vector<float> x, dy;
};
INSTANTIATE_TEST_SUITE_P(Shapes, PoolTest,
                         testing::Values(PoolShape{4, 6, 1}, PoolShape{5, 7, 19},
                                         PoolShape{9, 8, 33, 3, 2, 1}, PoolShape{6, 6, 16, 3, 1, 1},
                                         PoolShape{3, 3, 5, 3, 3}, PoolShape{7, 7, 4, 2, 3}));

TEST_P(PoolTest, MaxOrItsGradientDiffersFromFloat64) {
  std::vector<double> y(dy.size(), -std::numeric_limits<double>::infinity()), dx(x.size());
  std::vector<int64_t> from(dy.size());
  ForEach([&](int64_t yi, int64_t xi) {
    if (x[xi] > y[yi]) y[yi] = x[xi], from[yi] = xi;
  });
  for (size_t i = 0; i < dy.size(); ++i) dx[from[i]] += dy[i];

  std::vector<float> out(dy.size(), NAN), plain(dy.size(), NAN), gradient(x.size(), NAN), sum(x.size(), 2.0f);
  std::vector<uint8_t> winner(dy.size());
  cpu::MaxPoolForward(s, 1, kRows, x.data(), out.data(), winner.data());
  cpu::MaxPoolForward(s, 0, 1, x.data(), out.data(), winner.data());
  cpu::MaxPoolForward(s, 0, kRows, x.data(), plain.data(), nullptr);
  EXPECT_EQ(out, std::vector<float>(y.begin(), y.end()));
  EXPECT_EQ(out, plain);
  cpu::MaxPoolBackward(s, 1, kRows, dy.data(), winner.data(), false, gradient.data());
  cpu::MaxPoolBackward(s, 0, 1, dy.data(), winner.data(), false, gradient.data());
  cpu::MaxPoolBackward(s, 0, kRows, dy.data(), winner.data(), true, sum.data());
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(gradient[i], dx[i], 1e-6) << i;
    ASSERT_NEAR(sum[i], dx[i] + 2, 2e-6) << i;
  }
}

TEST_P(PoolTest, AverageOrItsGradientDiffersFromFloat64) {
  std::vector<double> y(dy.size()), dx(x.size());
  const double area = double(s.kernel * s.kernel);
  ForEach([&](int64_t yi, int64_t xi) {
    y[yi] += x[xi] / area;
    dx[xi] += dy[yi] / area;
  });
  std::vector<float> out(dy.size(), NAN), gradient(x.size(), NAN), sum(x.size(), 2.0f);
  cpu::AveragePoolForward(s, 0, kRows, x.data(), out.data());
  cpu::AveragePoolBackward(s, 0, kRows, dy.data(), false, gradient.data());
  cpu::AveragePoolBackward(s, 0, kRows, dy.data(), true, sum.data());
  for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(out[i], y[i], 1e-6) << i;
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(gradient[i], dx[i], 1e-6) << i;
    ASSERT_NEAR(sum[i], dx[i] + 2, 2e-6) << i;
  }
}

TEST_P(PoolTest, GlobalAverageOrItsGradientDiffersFromFloat64) {
  const int64_t pixels = s.height * s.width, k = s.channels;
  std::vector<float> y(kRows * k, NAN), dx(x.size(), NAN), sum(x.size(), 2.0f);
  cpu::GlobalAveragePoolForward(pixels, k, 0, kRows, x.data(), y.data());
  cpu::GlobalAveragePoolBackward(pixels, k, 0, kRows, y.data(), false, dx.data());
  cpu::GlobalAveragePoolBackward(pixels, k, 0, kRows, y.data(), true, sum.data());
  for (int64_t n = 0; n < kRows; ++n) {
    for (int64_t c = 0; c < k; ++c) {
      double mean = 0;
      for (int64_t p = 0; p < pixels; ++p) mean += x[(n * pixels + p) * k + c] / double(pixels);
      ASSERT_NEAR(y[n * k + c], mean, 1e-6);
      for (int64_t p = 0; p < pixels; ++p) {
        const int64_t i = (n * pixels + p) * k + c;
        ASSERT_NEAR(dx[i], mean / double(pixels), 1e-6);
        ASSERT_NEAR(sum[i], 2 + mean / double(pixels), 2e-6);
      }
    }
  }
}

TEST(MaxPool, NanIsSwallowed) {
  for (int at = 0; at < 4; ++at) {
    std::vector<float> x(4, 1.0f), y(1);
    x[at] = std::numeric_limits<float>::quiet_NaN();
    cpu::MaxPoolForward({2, 2, 1}, 0, 1, x.data(), y.data(), nullptr);
    EXPECT_TRUE(std::isnan(y[0])) << at;
  }
}

}  // namespace
}  // namespace lockstep::kernels::pool_test
