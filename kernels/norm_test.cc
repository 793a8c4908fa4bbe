#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/test_support.h"

namespace lockstep::kernels::norm_test {
namespace {

constexpr double kEpsilon = 1e-5;

// loss = sum dy * y of one row; also leaves xhat.
double Loss(bool centred, const std::vector<double>& x, const std::vector<double>& gamma,
            const std::vector<double>& beta, const std::vector<double>& dy, std::vector<double>* xhat) {
  const size_t n = x.size();
  double mean = 0, squares = 0, loss = 0;
  if (centred) {
    for (const double value : x) mean += value / n;
  }
  for (const double value : x) squares += (value - mean) * (value - mean) / n;
  xhat->resize(n);
  for (size_t i = 0; i < n; ++i) {
    (*xhat)[i] = (x[i] - mean) / std::sqrt(squares + kEpsilon);
    loss += dy[i] * ((*xhat)[i] * gamma[i] + beta[i]);
  }
  return loss;
}

std::vector<double> Widened(const float* from, int64_t count) { return {from, from + count}; }

struct Case {
  int64_t rows = 5, width;
  bool centred;
  std::vector<float> x, gamma, beta, dy, y, mean, rstd;

  Case(int64_t columns, bool with_mean)
      : width(columns),
        centred(with_mean),
        x(Random(rows * width, -2, 3, 1)),
        gamma(Random(width, -1, 2, 2)),
        beta(centred ? Random(width, -1, 1, 3) : std::vector<float>(width, 0.0f)),
        dy(Random(rows * width, -1, 1, 4)),
        y(rows * width),
        mean(rows),
        rstd(rows) {
    if (centred) {
      cpu::LayerNormForward(rows, width, kEpsilon, gamma.data(), beta.data(), x.data(), y.data(), mean.data(),
                            rstd.data());
    } else {
      cpu::RmsNormForward(rows, width, kEpsilon, gamma.data(), x.data(), y.data(), rstd.data());
    }
  }
  void Backward(bool add, float* dx) const {
    if (centred) {
      cpu::LayerNormBackward(rows, width, gamma.data(), x.data(), mean.data(), rstd.data(), dy.data(), add,
                             dx);
    } else {
      cpu::RmsNormBackward(rows, width, gamma.data(), x.data(), rstd.data(), dy.data(), add, dx);
    }
  }
  const float* Mean() const { return centred ? mean.data() : nullptr; }
};

class NormTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(All, NormTest, testing::Values(true, false),
                         [](const auto& norm) { return norm.param ? "Layer" : "Rms"; });

TEST_P(NormTest, ForwardOrInputGradientDiffersFromFloat64) {
  for (const int64_t width : {1, 3, 16, 37, 128, 201}) {
    const Case at(width, GetParam());
    std::vector<float> dx = at.dy, added(at.x.size(), 0.5f);
    at.Backward(true, added.data());
    if (GetParam()) {  // in place
      cpu::LayerNormBackward(at.rows, width, at.gamma.data(), at.x.data(), at.mean.data(), at.rstd.data(),
                             dx.data(), false, dx.data());
    } else {
      at.Backward(false, dx.data());
    }
    for (int64_t r = 0; r < at.rows; ++r) {
      const std::vector<double> gamma = Widened(at.gamma.data(), width),
                                beta = Widened(at.beta.data(), width);
      std::vector<double> x = Widened(&at.x[r * width], width), dy = Widened(&at.dy[r * width], width);
      std::vector<double> xhat, unused;
      Loss(at.centred, x, gamma, beta, dy, &xhat);
      for (int64_t c = 0; c < width; ++c) {
        EXPECT_NEAR(at.y[r * width + c], xhat[c] * gamma[c] + beta[c], 3e-6) << width;
        // The reference's slope, by finite differences in double.
        const double h = 1e-5;
        std::vector<double> high = x, low = x;
        high[c] += h;
        low[c] -= h;
        const double slope = (Loss(at.centred, high, gamma, beta, dy, &unused) -
                              Loss(at.centred, low, gamma, beta, dy, &unused)) /
                             (2 * h);
        const double bound = 2e-5 * std::max(1.0f, at.rstd[r]);
        EXPECT_NEAR(dx[r * width + c], slope, bound) << width << ": " << r << ", " << c;
        EXPECT_NEAR(added[r * width + c], slope + 0.5, bound);
      }
    }
  }
}

TEST_P(NormTest, ParameterGradientsDifferFromFloat64OrWithTheSplit) {
  const int64_t width = 37;
  const Case at(width, GetParam());
  // Three shards of at most 2 rows: 2, 1 and 2 real ones, in nodes {0, 1} and {2}. Row 3 is not real.
  Case padded(width, GetParam());
  padded.rows = 6;
  for (std::vector<float>* matrix : {&padded.x, &padded.dy}) {
    matrix->resize(6 * width);
    std::copy_n(matrix->begin() + 3 * width, 2 * width, matrix->begin() + 4 * width);
    std::fill_n(matrix->begin() + 3 * width, width, 1e9f);
  }
  for (std::vector<float>* column : {&padded.mean, &padded.rstd}) {
    column->resize(6);
    (*column)[5] = (*column)[4];
    (*column)[4] = (*column)[3];
  }
  const int rows[] = {2, 1, 2}, ends[] = {2, 3};
  const ShardTree tree{2, rows, 2, ends};
  const int64_t stride = 100;
  std::vector<float> dgamma(2 * stride, -7.0f), dbeta(2 * stride, -7.0f), split = dgamma, split_beta = dbeta;
  cpu::NormParameterGradients(tree, width, 0, width, padded.x.data(), padded.Mean(), padded.rstd.data(),
                              padded.dy.data(), dgamma.data(), dbeta.data(), stride);
  for (const auto& [begin, end] : {std::pair{0, 5}, std::pair{5, 33}, std::pair{33, 37}}) {
    cpu::NormParameterGradients(tree, width, begin, end, padded.x.data(), padded.Mean(), padded.rstd.data(),
                                padded.dy.data(), split.data(), split_beta.data(), stride);
  }
  EXPECT_EQ(split, dgamma);
  EXPECT_EQ(split_beta, dbeta);
  for (int64_t c = 0; c < width; ++c) {
    double gamma[2] = {}, beta[2] = {};
    for (int64_t r = 0; r < at.rows; ++r) {
      const double mean = at.centred ? at.mean[r] : 0.0;
      gamma[r / 3] += at.dy[r * width + c] * (at.x[r * width + c] - mean) * at.rstd[r];
      beta[r / 3] += at.dy[r * width + c];
    }
    for (int node = 0; node < 2; ++node) {
      EXPECT_NEAR(dgamma[node * stride + c], gamma[node], 1e-5) << c;
      EXPECT_NEAR(dbeta[node * stride + c], beta[node], 1e-5) << c;
    }
  }
  EXPECT_EQ(dgamma[width], -7.0f);
}

TEST_P(NormTest, RowDependsOnItsNeighbours) {
  const Case at(67, GetParam());
  std::vector<float> y(67), mean(1), rstd(1);
  if (GetParam()) {
    cpu::LayerNormForward(1, 67, kEpsilon, at.gamma.data(), at.beta.data(), &at.x[3 * 67], y.data(),
                          mean.data(), rstd.data());
  } else {
    cpu::RmsNormForward(1, 67, kEpsilon, at.gamma.data(), &at.x[3 * 67], y.data(), rstd.data());
  }
  EXPECT_EQ(y, std::vector<float>(at.y.begin() + 3 * 67, at.y.begin() + 4 * 67));
}

}  // namespace
}  // namespace lockstep::kernels::norm_test
