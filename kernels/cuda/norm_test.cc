#include "kernels/cuda/norm.h"

#include <cmath>

#include "kernels/cuda/shard_tree_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_norm_test {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr int64_t kRows = 5;

// What one row should give, in double.
struct Reference {
  double mean = 0, rstd = 0;
  std::vector<double> xhat, dx;
  Reference(bool centred, const float* x, const float* gamma, const float* dy, int64_t width)
      : xhat(width), dx(width) {
    double squares = 0, sum = 0, product = 0;
    for (int64_t c = 0; c < width && centred; ++c) mean += double{x[c]} / width;
    for (int64_t c = 0; c < width; ++c) squares += (x[c] - mean) * (x[c] - mean) / width;
    rstd = 1 / std::sqrt(squares + kEpsilon);
    for (int64_t c = 0; c < width; ++c) {
      xhat[c] = (x[c] - mean) * rstd;
      sum += double{dy[c]} * gamma[c];
      product += double{dy[c]} * gamma[c] * xhat[c];
    }
    for (int64_t c = 0; c < width; ++c) {
      dx[c] = rstd * (double{dy[c]} * gamma[c] - (centred ? sum / width : 0) - xhat[c] * product / width);
    }
  }
};

class CudaNorm : public CudaTest, public testing::WithParamInterface<bool> {
 protected:
  bool centred() const { return GetParam(); }
  void Forward(int64_t rows, int64_t width, const float* gamma, const float* beta, const float* x, float* y,
               float* mean, float* rstd) const {
    EXPECT_LAUNCHED(
        centred() ? cuda::LayerNormForward(rows, width, kEpsilon, gamma, beta, x, y, mean, rstd, nullptr)
                  : cuda::RmsNormForward(rows, width, kEpsilon, gamma, x, y, rstd, nullptr));
  }
  void Backward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* mean,
                const float* rstd, const float* dy, bool add, float* dx) const {
    EXPECT_LAUNCHED(centred()
                        ? cuda::LayerNormBackward(rows, width, gamma, x, mean, rstd, dy, add, dx, nullptr)
                        : cuda::RmsNormBackward(rows, width, gamma, x, rstd, dy, add, dx, nullptr));
  }
};
INSTANTIATE_TEST_SUITE_P(All, CudaNorm, testing::Values(true, false),
                         [](const auto& norm) { return norm.param ? "Layer" : "Rms"; });

TEST_P(CudaNorm, ForwardOrInputGradientDiffersFromFloat64) {
  // Lanes without a pack, whole registers, more than a warp has, more than a block has.
  for (const int64_t width : {1, 3, 37, 64, 1024, 1025, 1028, 8201, 8256}) {
    const int64_t count = kRows * width;
    const std::vector<float> x = Random(count, -2, 3, 1), gamma = Random(width, -1, 2, 2),
                             beta = Random(width, -1, 1, 3), dy = Random(count, -1, 1, 4);
    const auto run = [&] {
      const OnDevice<float> in(x), scale(gamma), shift(beta), d(dy), y(count), mean(kRows), rstd(kRows),
          dx(count), added(std::vector<float>(count, 0.5f));
      Forward(kRows, width, scale.get(), shift.get(), in.get(), y.get(), mean.get(), rstd.get());
      Backward(kRows, width, scale.get(), in.get(), mean.get(), rstd.get(), d.get(), false, dx.get());
      Backward(kRows, width, scale.get(), in.get(), mean.get(), rstd.get(), d.get(), true, added.get());
      Backward(kRows, width, scale.get(), in.get(), mean.get(), rstd.get(), d.get(), false, d.get());
      EXPECT_EQ(d.Fetch(), dx.Fetch()) << "in place";
      return Outputs{y.Fetch(), rstd.Fetch(), dx.Fetch(), added.Fetch(),
                     centred() ? mean.Fetch() : Outputs::value_type()};
    };
    const auto out = width > 2000 ? run() : InAnyOrder(run);
    std::vector<double> y, mean, rstd, dx, added;
    for (int64_t r = 0; r < kRows; ++r) {
      const Reference row(centred(), &x[r * width], gamma.data(), &dy[r * width], width);
      mean.push_back(row.mean);
      rstd.push_back(row.rstd);
      for (int64_t c = 0; c < width; ++c) {
        y.push_back(row.xhat[c] * gamma[c] + (centred() ? beta[c] : 0));
        dx.push_back(row.dx[c]);
        added.push_back(row.dx[c] + 0.5);
      }
    }
    // A layer norm of one column is 0 / sqrt(epsilon): its gradient is rounding, 316 times magnified.
    const double tolerance = width == 1 ? 1e-4 : 1e-5;
    ExpectClose(out[0], y, 2e-6);
    ExpectClose(out[1], rstd, 2e-6);
    ExpectClose(out[2], dx, tolerance);
    ExpectClose(out[3], added, tolerance);
    if (centred()) ExpectClose(out[4], mean, 1e-6);
  }
}

TEST_P(CudaNorm, BitsOfARowDependOnItsNeighboursOrItsAddress) {
  for (const int64_t width : {64, 67, 2000}) {
    const std::vector<float> x = Random(20 * width + 1, -2, 3, 1), gamma = Random(width, -1, 2, 2);
    const OnDevice<float> in(x), scale(gamma), y(20 * width), mean(20), rstd(20), one(width + 1), at(1), s(1);
    Forward(20, width, scale.get(), nullptr, in.get(), y.get(), mean.get(), rstd.get());
    const OnDevice<float> moved(std::vector<float>(x.begin() + 13 * width - 1, x.begin() + 14 * width));
    Forward(1, width, scale.get(), nullptr, moved.get() + 1, one.get(), at.get(), s.get());
    const std::vector<float> all = y.Fetch();
    // The last one was not written.
    const std::vector<float> alone = one.Fetch();
    EXPECT_EQ(std::vector<float>(alone.begin(), alone.end() - 1),
              std::vector<float>(all.begin() + 13 * width, all.begin() + 14 * width));
    EXPECT_EQ(s.Fetch()[0], rstd.Fetch()[13]);
  }
}

TEST_P(CudaNorm, ParameterGradientsDifferFromFloat64OrReadPadding) {
  for (const int64_t width : {1, 37, 132, 300}) {
    // Five shards of at most 35 * 2 rows, in nodes {0, 1, 2, 3} and {4}.
    const int per_shard = 35, positions = 2;
    const std::vector<int> real = {35, 17, 0, 34, 20};
    const TreeOnDevice tree(per_shard, positions, real, {4, 5});
    const int64_t rows = 5 * per_shard * positions, stride = width + 3;
    std::vector<float> x = Random(rows * width, -2, 3, 1), dy = Random(rows * width, -1, 1, 4),
                       mean = Random(rows, -1, 1, 5), rstd = Random(rows, 0.5f, 2, 6);
    std::vector<double> dgamma(2 * stride, -7), dbeta(2 * stride, -7);
    for (int node = 0; node < 2; ++node) {
      for (int64_t c = 0; c < width; ++c) dgamma[node * stride + c] = dbeta[node * stride + c] = 0;
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t shard = r / (per_shard * positions), within = r % (per_shard * positions);
      const bool is_real = within < real[shard] * positions;
      for (int64_t c = 0; c < width; ++c) {
        if (!is_real) x[r * width + c] = dy[r * width + c] = NAN;
        if (!is_real) continue;
        const int64_t at = (shard == 4) * stride + c;
        const double centre = centred() ? mean[r] : 0.0f;
        dgamma[at] += double{dy[r * width + c]} * (x[r * width + c] - centre) * rstd[r];
        dbeta[at] += dy[r * width + c];
      }
    }
    const auto out = InAnyOrder([&] {
      const OnDevice<float> in(x), d(dy), m(mean), s(rstd), scratch(cuda::NormScratch(tree.tree, width)),
          to_gamma(std::vector<float>(2 * stride, -7.0f)), to_beta(std::vector<float>(2 * stride, -7.0f));
      EXPECT_LAUNCHED(cuda::NormParameterGradients(
          tree.tree, width, in.get(), centred() ? m.get() : nullptr, s.get(), d.get(), to_gamma.get(),
          centred() ? to_beta.get() : nullptr, stride, scratch.get(), nullptr));
      return Outputs{to_gamma.Fetch(), to_beta.Fetch()};
    });
    ExpectClose(out[0], dgamma, 1e-5);
    if (centred()) ExpectClose(out[1], dbeta, 1e-5);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_norm_test
