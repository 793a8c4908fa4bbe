#include "kernels/batch_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ostream>

#include "kernels/test_support.h"

namespace lockstep::kernels::batch_norm_test {
namespace {

constexpr float kEpsilon = 1e-5f;

// The definition, in float64, on one shard.
struct Reference {
  Reference(int64_t pixel_count, int64_t channel_count, bool with_residual, bool with_relu)
      : pixels(pixel_count), channels(channel_count), residual(with_residual), relu(with_relu) {}

  std::vector<double> Forward(const std::vector<double>& x, const std::vector<double>& r,
                              const std::vector<double>& gamma, const std::vector<double>& beta) {
    mean.assign(channels, 0), inverse.assign(channels, 0), variance.assign(channels, 0);
    std::vector<double> y(x.size());
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t p = 0; p < pixels; ++p) mean[c] += x[p * channels + c] / double(pixels);
      for (int64_t p = 0; p < pixels; ++p)
        variance[c] += std::pow(x[p * channels + c] - mean[c], 2) / double(pixels);
      inverse[c] = 1 / std::sqrt(variance[c] + double{kEpsilon});
      for (int64_t i = c; i < pixels * channels; i += channels) {
        y[i] = (x[i] - mean[c]) * inverse[c] * gamma[c] + beta[c] + (residual ? r[i] : 0);
        if (relu && y[i] < 0) y[i] = 0;
      }
    }
    return y;
  }
  // After Forward.
  void Backward(const std::vector<double>& x, const std::vector<double>& y, const std::vector<double>& gamma,
                const std::vector<double>& dy) {
    dgamma.assign(channels, 0), dbeta.assign(channels, 0), dx.assign(x.size(), 0), g = dy;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = c; i < pixels * channels; i += channels) {
        if (relu && y[i] <= 0) g[i] = 0;
        dbeta[c] += g[i];
        dgamma[c] += g[i] * (x[i] - mean[c]) * inverse[c];
      }
      for (int64_t i = c; i < pixels * channels; i += channels) {
        dx[i] =
            gamma[c] * inverse[c] *
            (g[i] - dbeta[c] / double(pixels) - (x[i] - mean[c]) * inverse[c] * dgamma[c] / double(pixels));
      }
    }
  }
  const int64_t pixels, channels;
  const bool residual, relu;
  std::vector<double> mean, variance, inverse, dgamma, dbeta, dx, g;
};

std::vector<double> Doubles(const std::vector<float>& in) { return {in.begin(), in.end()}; }

struct Case {
  int64_t pixels, channels;
  bool residual, relu;
  friend void PrintTo(const Case& c, std::ostream* out) {
    *out << c.pixels << " pixels, " << c.channels << " channels" << (c.residual ? ", residual" : "")
         << (c.relu ? ", relu" : "");
  }
};

class BatchNormTest : public testing::TestWithParam<Case> {
 protected:
  BatchNormTest()
      : pixels(GetParam().pixels),
        channels(GetParam().channels),
        x(Random(pixels * channels, -1, 3, 1)),
        residual(Random(pixels * channels, -1, 1, 2)),
        dy(Random(pixels * channels, -1, 1, 3)),
        gamma(Random(channels, 0.5, 2, 4)),
        beta(Random(channels, -1, 1, 5)),
        mean(channels, NAN),
        variance(channels, NAN),
        inverse(channels, NAN),
        dgamma(channels, NAN),
        dbeta(channels, NAN) {}

  BatchNormFactors factors() const { return {mean.data(), inverse.data(), gamma.data(), beta.data()}; }
  // In two parts, as two threads would.
  std::vector<float> Forward() {
    const int64_t middle = channels / 3;
    cpu::BatchNormStatistics(pixels, channels, middle, channels, x.data(), mean.data(), variance.data());
    cpu::BatchNormStatistics(pixels, channels, 0, middle, x.data(), mean.data(), variance.data());
    cpu::BatchNormInverse(channels, kEpsilon, variance.data(), inverse.data());
    std::vector<float> y(x.size(), NAN);
    cpu::BatchNormForward(pixels, channels, factors(), x.data(),
                          GetParam().residual ? residual.data() : nullptr, GetParam().relu, y.data());
    return y;
  }
  std::vector<float> Backward(const std::vector<float>& y, bool add) {
    const bool mask = GetParam().residual && GetParam().relu;
    const int64_t middle = channels / 3;
    for (const auto& [begin, end] : {std::pair{middle, channels}, std::pair{int64_t{0}, middle}}) {
      cpu::BatchNormSums(pixels, channels, begin, end, factors(), x.data(), mask ? y.data() : nullptr,
                         GetParam().relu, dy.data(), dgamma.data(), dbeta.data());
    }
    std::vector<float> dx(x.size(), add ? 2.0f : NAN);
    cpu::BatchNormInputGradient(pixels, pixels, channels, factors(), dgamma.data(), dbeta.data(), x.data(),
                                GetParam().relu && !mask, dy.data(), add, dx.data());
    return dx;
  }
  const int64_t pixels, channels;
  std::vector<float> x, residual, dy, gamma, beta, mean, variance, inverse, dgamma, dbeta;
};
INSTANTIATE_TEST_SUITE_P(Shapes, BatchNormTest,
                         testing::Values(Case{12, 1, false, false}, Case{77, 5, false, true},
                                         Case{64, 16, true, true}, Case{300, 70, true, true},
                                         Case{33, 135, false, true}, Case{2, 17, true, false},
                                         Case{1, 3, false, false}));

TEST_P(BatchNormTest, DiffersFromFloat64) {
  Reference reference(pixels, channels, GetParam().residual, GetParam().relu);
  const std::vector<double> expected =
      reference.Forward(Doubles(x), Doubles(residual), Doubles(gamma), Doubles(beta));
  const std::vector<double> before = Doubles(dy);
  reference.Backward(Doubles(x), expected, Doubles(gamma), before);
  const std::vector<float> y = Forward(), kept = dy, dx = Backward(y, false);
  const double scale = pixels == 1 ? 1e3 : 1;  // 1 / sqrt(epsilon) magnifies what rounding leaves
  for (int64_t i = 0; i < pixels * channels; ++i) {
    ASSERT_NEAR(y[i], expected[i], 3e-6 * scale) << i;
    ASSERT_NEAR(dx[i], reference.dx[i], 1e-5 * scale) << i;
    if (GetParam().residual && GetParam().relu) {
      ASSERT_EQ(dy[i], reference.g[i]) << i;
    }
  }
  for (int64_t c = 0; c < channels; ++c) {
    ASSERT_NEAR(mean[c], reference.mean[c], 1e-6);
    ASSERT_NEAR(variance[c], reference.variance[c], 3e-6);
    ASSERT_NEAR(dbeta[c], reference.dbeta[c], 2e-5);
    ASSERT_NEAR(dgamma[c], reference.dgamma[c], 4e-5);
  }
  dy = kept;
  const std::vector<float> sum = Backward(y, true);
  for (size_t i = 0; i < sum.size(); ++i) ASSERT_EQ(sum[i], 2.0f + dx[i]);
}

TEST_P(BatchNormTest, BitsDependOnTheRangeOfChannels) {
  const std::vector<float> y = Forward(), dx = Backward(y, false);
  std::vector<float> one(channels), other(channels);
  for (int64_t c = 0; c < channels; ++c) {
    cpu::BatchNormStatistics(pixels, channels, c, c + 1, x.data(), one.data(), other.data());
  }
  EXPECT_EQ(one, mean);
  EXPECT_EQ(other, variance);
}

TEST(BatchNorm, LargeMeanDestroysTheVariance) {
  const int64_t pixels = 1000;
  std::vector<float> x = Random(pixels, 0, 1, 1), mean(1), variance(1);
  double sum = 0, squares = 0;
  for (float& value : x) {
    value += 4096;
    sum += value;
  }
  for (float value : x) squares += std::pow(value - sum / double(pixels), 2);
  cpu::BatchNormStatistics(pixels, 1, 0, 1, x.data(), mean.data(), variance.data());
  EXPECT_NEAR(variance[0], squares / double(pixels), 1e-6);
}

TEST(BatchNorm, ShardWithoutRowsIsNotZero) {
  std::vector<float> nan(3, NAN), mean(3, NAN), variance(3, NAN), dgamma(3, NAN), dbeta(3, NAN);
  const std::vector<float> one(3, 1.0f);
  cpu::BatchNormStatistics(0, 3, 0, 3, nan.data(), mean.data(), variance.data());
  cpu::BatchNormSums(0, 3, 0, 3, {one.data(), one.data(), one.data(), one.data()}, nan.data(), nullptr, true,
                     nan.data(), dgamma.data(), dbeta.data());
  const std::vector<float> zero(3, 0.0f);
  EXPECT_EQ(mean, zero);
  EXPECT_EQ(variance, zero);
  EXPECT_EQ(dgamma, zero);
  EXPECT_EQ(dbeta, zero);
}

// The float64 gradients above are the derivative of the float64 forward pass.
TEST(BatchNorm, GradientOfTheReferenceDiffersFromFiniteDifferences) {
  const int64_t pixels = 7, channels = 3;
  Reference reference(pixels, channels, true, true);
  std::vector<double> x = Doubles(Random(pixels * channels, -1, 1, 1)),
                      r = Doubles(Random(x.size(), -1, 1, 2));
  std::vector<double> gamma = Doubles(Random(channels, 0.5, 2, 3)),
                      beta = Doubles(Random(channels, -1, 1, 4));
  const std::vector<double> dy = Doubles(Random(x.size(), -1, 1, 5));
  reference.Backward(x, reference.Forward(x, r, gamma, beta), gamma, dy);
  const Reference gradient = reference;
  const auto loss = [&] {
    const std::vector<double> y = reference.Forward(x, r, gamma, beta);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  const auto check = [&](std::vector<double>& at, const std::vector<double>& expected) {
    for (size_t i = 0; i < at.size(); ++i) {
      const double kept = at[i], h = 1e-6;
      at[i] = kept + h;
      const double above = loss();
      at[i] = kept - h;
      EXPECT_NEAR((above - loss()) / (2 * h), expected[i], 1e-7) << i;
      at[i] = kept;
    }
  };
  check(x, gradient.dx);
  check(r, gradient.g);
  check(gamma, gradient.dgamma);
  check(beta, gradient.dbeta);
}

}  // namespace
}  // namespace lockstep::kernels::batch_norm_test
