#include "kernels/cuda/pool.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_pool_test {
namespace {

class CudaPool : public CudaTest {};

constexpr int64_t kRows = 2;
const PoolShape kShapes[] = {{6, 4, 3, 2, 2, 0}, {7, 9, 4, 3, 2, 1}, {5, 5, 8, 3, 1, 1}, {7, 6, 1, 2, 3, 0}};

int64_t Extent(int64_t extent, const PoolShape& s) {
  return (extent + 2 * s.padding - s.kernel) / s.stride + 1;
}

struct Expected {
  std::vector<double> y, dx, average, average_dx;
};

// By the definition: windows in order, the first of equal values wins.
Expected Reference(const PoolShape& s, const std::vector<float>& x, const std::vector<float>& dy) {
  const int64_t height = Extent(s.height, s), width = Extent(s.width, s), k = s.channels;
  Expected out{std::vector<double>(dy.size()), std::vector<double>(x.size()), std::vector<double>(dy.size()),
               std::vector<double>(x.size())};
  for (int64_t i = 0; i < static_cast<int64_t>(dy.size()); ++i) {
    const int64_t channel = i % k, c = i / k % width, r = i / k / width % height, n = i / k / width / height;
    int64_t best = -1;
    for (int64_t h = r * s.stride - s.padding; h < r * s.stride - s.padding + s.kernel; ++h) {
      for (int64_t w = c * s.stride - s.padding; w < c * s.stride - s.padding + s.kernel; ++w) {
        if (h < 0 || w < 0 || h >= s.height || w >= s.width) continue;
        const int64_t at = ((n * s.height + h) * s.width + w) * k + channel;
        if (best < 0 || x[at] > x[best]) best = at;
        out.average[i] += double{x[at]} / (s.kernel * s.kernel);
        out.average_dx[at] += double{dy[i]} / (s.kernel * s.kernel);
      }
    }
    out.y[i] = x[best];
    out.dx[best] += dy[i];
  }
  return out;
}

TEST_F(CudaPool, DiffersFromFloat64) {
  for (const PoolShape& s : kShapes) {
    const int64_t in = kRows * s.height * s.width * s.channels;
    const int64_t count = kRows * Extent(s.height, s) * Extent(s.width, s) * s.channels;
    std::vector<float> x = Random(in, -1, 1, 1);
    for (float& value : x) value = std::round(value * 4);  // some are equal
    const std::vector<float> dy = Random(count, -1, 1, 2);
    const Expected expected = Reference(s, x, dy);
    const auto out = InAnyOrder([&] {
      const OnDevice<float> from(x), d(dy), y(count), bare(count), dx(in),
          added(std::vector<float>(in, 1.0f)), average(count), average_dx(in);
      const OnDevice<uint8_t> winner(count);
      EXPECT_LAUNCHED(cuda::MaxPoolForward(s, kRows, from.get(), y.get(), winner.get(), nullptr));
      EXPECT_LAUNCHED(cuda::MaxPoolForward(s, kRows, from.get(), bare.get(), nullptr, nullptr));
      EXPECT_LAUNCHED(cuda::MaxPoolBackward(s, kRows, d.get(), winner.get(), false, dx.get(), nullptr));
      EXPECT_LAUNCHED(cuda::MaxPoolBackward(s, kRows, d.get(), winner.get(), true, added.get(), nullptr));
      EXPECT_LAUNCHED(cuda::AveragePoolForward(s, kRows, from.get(), average.get(), nullptr));
      EXPECT_LAUNCHED(cuda::AveragePoolBackward(s, kRows, d.get(), false, average_dx.get(), nullptr));
      EXPECT_EQ(bare.Fetch(), y.Fetch());
      return Outputs{y.Fetch(), dx.Fetch(), added.Fetch(), average.Fetch(), average_dx.Fetch()};
    });
    ExpectClose(out[0], expected.y, 0);
    ExpectClose(out[1], expected.dx, 1e-6);
    for (int64_t i = 0; i < in; ++i) ASSERT_EQ(out[2][i], 1.0f + out[1][i]);
    ExpectClose(out[3], expected.average, 1e-6);
    ExpectClose(out[4], expected.average_dx, 1e-6);
  }
}

TEST_F(CudaPool, GlobalDiffersFromFloat64) {
  for (const int64_t channels : {3, 8}) {
    const int64_t pixels = 35, in = kRows * pixels * channels;
    const std::vector<float> x = Random(in, -1, 1, 1), dy = Random(kRows * channels, -1, 1, 2);
    const auto out = InAnyOrder([&] {
      const OnDevice<float> from(x), d(dy), y(kRows * channels), dx(in), added(x);
      EXPECT_LAUNCHED(cuda::GlobalAveragePoolForward(pixels, channels, kRows, from.get(), y.get(), nullptr));
      EXPECT_LAUNCHED(
          cuda::GlobalAveragePoolBackward(pixels, channels, kRows, d.get(), false, dx.get(), nullptr));
      EXPECT_LAUNCHED(
          cuda::GlobalAveragePoolBackward(pixels, channels, kRows, d.get(), true, added.get(), nullptr));
      return Outputs{y.Fetch(), dx.Fetch(), added.Fetch()};
    });
    std::vector<double> y(kRows * channels), dx(in), added(in);
    for (int64_t i = 0; i < in; ++i) {
      const int64_t at = i / channels / pixels * channels + i % channels;
      y[at] += double{x[i]} / pixels;
      dx[i] = double{dy[at]} / pixels;
      added[i] = x[i] + dx[i];
    }
    ExpectClose(out[0], y, 1e-6);
    ExpectClose(out[1], dx, 1e-6);
    ExpectClose(out[2], added, 1e-6);
  }
}

TEST_F(CudaPool, NanIsLost) {
  const PoolShape s{2, 2, 1, 2, 2, 0};
  for (int at = 0; at < 4; ++at) {
    std::vector<float> x = {1, 2, 3, 4};
    x[at] = std::numeric_limits<float>::quiet_NaN();
    const OnDevice<float> from(x), y(1);
    const OnDevice<uint8_t> winner(1);
    EXPECT_LAUNCHED(cuda::MaxPoolForward(s, 1, from.get(), y.get(), winner.get(), nullptr));
    EXPECT_TRUE(std::isnan(y.Fetch()[0]));
    EXPECT_EQ(winner.Fetch()[0], at);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_pool_test
