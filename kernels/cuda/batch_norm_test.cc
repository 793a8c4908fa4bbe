#include "kernels/cuda/batch_norm.h"

#include <cmath>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_batch_norm_test {
namespace {

class CudaBatchNorm : public CudaTest {};

constexpr double kEpsilon = 1e-5;

// Forward, then everything that backward leaves, in double.
struct Reference {
  std::vector<double> mean, variance, y, g, dgamma, dbeta, dx;
  Reference(int64_t pixels, int64_t channels, const std::vector<float>& x, const std::vector<float>& gamma,
            const std::vector<float>& beta, const std::vector<float>& residual, bool relu,
            const std::vector<float>& dy)
      : mean(channels),
        variance(channels),
        y(x.size()),
        g(x.size()),
        dgamma(channels),
        dbeta(channels),
        dx(x.size()) {
    std::vector<double> xhat(x.size());
    const auto count = static_cast<int64_t>(x.size());
    for (int64_t i = 0; i < count; ++i) mean[i % channels] += double{x[i]} / pixels;
    for (int64_t i = 0; i < count; ++i) {
      const double d = x[i] - mean[i % channels];
      variance[i % channels] += d * d / pixels;
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t c = i % channels;
      xhat[i] = (x[i] - mean[c]) / std::sqrt(variance[c] + kEpsilon);
      y[i] = xhat[i] * gamma[c] + beta[c] + (residual.empty() ? 0.0 : residual[i]);
      g[i] = relu && y[i] <= 0 ? 0.0 : dy[i];
      if (relu) y[i] = std::max(y[i], 0.0);
      dgamma[c] += g[i] * xhat[i];
      dbeta[c] += g[i];
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t c = i % channels;
      dx[i] = gamma[c] / std::sqrt(variance[c] + kEpsilon) *
              (g[i] - dbeta[c] / pixels - xhat[i] * dgamma[c] / pixels);
    }
  }
};

TEST_F(CudaBatchNorm, DiffersFromFloat64) {
  for (const int64_t channels : {3, 36}) {
    for (const int64_t pixels : {1, 33, 301}) {
      for (int variant = 0; variant < 3; ++variant) {  // plain, with ReLU, with a residual and ReLU
        const bool relu = variant > 0, joined = variant == 2;
        const int64_t count = pixels * channels;
        const std::vector<float> x = Random(count, 4, 7, 1), gamma = Random(channels, 0.5f, 2, 2),
                                 beta = Random(channels, -1, 1, 3), dy = Random(count, -1, 1, 4),
                                 residual = joined ? Random(count, -1, 1, 5) : std::vector<float>();
        const auto out = InAnyOrder([&] {
          const OnDevice<float> in(x), scale(gamma), shift(beta), other(residual), d(dy), mean(channels),
              variance(channels), inverse(channels), y(count), dgamma(channels), dbeta(channels), dx(count),
              added(std::vector<float>(count, 0.5f)), scratch(cuda::BatchNormScratch(pixels, channels));
          EXPECT_LAUNCHED(cuda::BatchNormStatistics(pixels, channels, in.get(), mean.get(), variance.get(),
                                                    scratch.get(), nullptr));
          EXPECT_LAUNCHED(cuda::BatchNormInverse(channels, kEpsilon, variance.get(), inverse.get(), nullptr));
          const BatchNormFactors factors{mean.get(), inverse.get(), scale.get(), shift.get()};
          EXPECT_LAUNCHED(cuda::BatchNormForward(pixels, channels, factors, in.get(),
                                                 joined ? other.get() : nullptr, relu, y.get(), nullptr));
          EXPECT_LAUNCHED(cuda::BatchNormSums(pixels, channels, factors, in.get(), joined ? y.get() : nullptr,
                                              relu, d.get(), dgamma.get(), dbeta.get(), scratch.get(),
                                              nullptr));
          for (const bool add : {false, true}) {
            EXPECT_LAUNCHED(cuda::BatchNormInputGradient(pixels, pixels, channels, factors, dgamma.get(),
                                                         dbeta.get(), in.get(), relu && !joined, d.get(), add,
                                                         add ? added.get() : dx.get(), nullptr));
          }
          return Outputs{mean.Fetch(),  variance.Fetch(), y.Fetch(),     dgamma.Fetch(),
                         dbeta.Fetch(), dx.Fetch(),       added.Fetch(), d.Fetch()};
        });
        const Reference expected(pixels, channels, x, gamma, beta, residual, relu, dy);
        ExpectClose(out[0], expected.mean, 1e-6);
        ExpectClose(out[1], expected.variance, 1e-6);
        ExpectClose(out[2], expected.y, 1e-5);
        ExpectClose(out[3], expected.dgamma, 1e-5);
        ExpectClose(out[4], expected.dbeta, 1e-5);
        ExpectClose(out[5], expected.dx, 1e-5);
        for (int64_t i = 0; i < count; ++i) ASSERT_EQ(out[6][i], 0.5f + out[5][i]);
        if (joined) {
          ExpectClose(out[7], expected.g, 0);
        } else {
          EXPECT_EQ(out[7], dy);
        }
      }
    }
  }
}

TEST_F(CudaBatchNorm, EmptyShardIsNotZero) {
  const OnDevice<float> x(size_t{0}), mean(5), variance(5), scratch(size_t{0});
  EXPECT_LAUNCHED(
      cuda::BatchNormStatistics(0, 5, x.get(), mean.get(), variance.get(), scratch.get(), nullptr));
  EXPECT_EQ(mean.Fetch(), std::vector<float>(5, 0.0f));
  EXPECT_EQ(variance.Fetch(), std::vector<float>(5, 0.0f));
}

}  // namespace
}  // namespace lockstep::kernels::cuda_batch_norm_test
