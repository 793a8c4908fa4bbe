#include "kernels/convolution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <ostream>

#include "kernels/shard_tree_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::convolution_test {
namespace {

struct Case {
  ConvolutionShape shape;
  int shards = 3, rows_per_shard = 2;
  friend void PrintTo(const Case& c, std::ostream* out) {
    *out << c.shape.height << "x" << c.shape.width << "x" << c.shape.channels << " to " << c.shape.outputs
         << ", kernel " << c.shape.kernel << ", stride " << c.shape.stride << ", padding " << c.shape.padding
         << ", groups " << c.shape.groups;
  }
};

// The definition, in float64.
class Reference {
 public:
  explicit Reference(const ConvolutionShape& shape)
      : s(shape),
        rows(ConvolvedExtent(s.height, s.kernel, s.stride, s.padding)),
        columns(ConvolvedExtent(s.width, s.kernel, s.stride, s.padding)) {}

  // Calls f(index of x, index of w, index of y) for each product of one image.
  template <typename F>
  void ForEach(F f) const {
    const int64_t inputs = s.channels / s.groups, outputs = s.outputs / s.groups;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        for (int64_t o = 0; o < s.outputs; ++o) {
          for (int64_t i = 0; i < inputs; ++i) {
            for (int64_t kh = 0; kh < s.kernel; ++kh) {
              for (int64_t kw = 0; kw < s.kernel; ++kw) {
                const int64_t h = r * s.stride + kh - s.padding, w = c * s.stride + kw - s.padding;
                if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
                f((h * s.width + w) * s.channels + o / outputs * inputs + i,
                  ((o * inputs + i) * s.kernel + kh) * s.kernel + kw, (r * columns + c) * s.outputs + o);
              }
            }
          }
        }
      }
    }
  }
  template <typename T>
  std::vector<double> Forward(const T* x, const T* w, const T* bias) const {
    std::vector<double> y(out_size());
    for (int64_t i = 0; i < out_size(); ++i) y[i] = bias[i % s.outputs];
    ForEach([&](int64_t xi, int64_t wi, int64_t yi) { y[yi] += double{x[xi]} * w[wi]; });
    return y;
  }
  int64_t in_size() const { return s.height * s.width * s.channels; }
  int64_t out_size() const { return rows * columns * s.outputs; }
  int64_t weights() const { return s.outputs * s.channels / s.groups * s.kernel * s.kernel; }

  const ConvolutionShape s;
  const int64_t rows, columns;
};

class ConvolutionTest : public testing::TestWithParam<Case> {
 protected:
  ConvolutionTest()
      : s(GetParam().shape),
        reference(s),
        rows(GetParam().shards * GetParam().rows_per_shard),
        x(Random(rows * reference.in_size(), -1, 1, 1)),
        w(Random(reference.weights(), -1, 1, 2)),
        bias(Random(s.outputs, -1, 1, 3)),
        dy(Random(rows * reference.out_size(), -1, 1, 4)),
        scratch(cpu::ConvolutionScratch(s)) {}

  std::vector<float> Packed(bool backward) const {
    std::vector<float> packed(cpu::ConvolutionPackedSize(s), NAN);
    const int64_t units = cpu::ConvolutionPackUnits(s, backward);
    // In two parts, as two threads would.
    cpu::ConvolutionPack(s, backward, units / 2, units, w.data(), packed.data());
    cpu::ConvolutionPack(s, backward, 0, units / 2, w.data(), packed.data());
    return packed;
  }
  std::vector<float> Forward(const cpu::ConvolutionEnd& end) {
    std::vector<float> y(rows * reference.out_size(), NAN);
    cpu::ConvolutionForward(s, 0, rows, x.data(), Packed(false).data(), end, y.data(), scratch.data());
    return y;
  }
  std::vector<float> InputGradient() {
    std::vector<float> dx(x.size(), NAN);
    cpu::ConvolutionInputGradient(s, 0, rows, dy.data(), Packed(true).data(), false, dx.data(),
                                  scratch.data());
    return dx;
  }
  // dw, then db; units one by one, as if each had a thread.
  std::vector<float> WeightGradient(int world, const std::vector<int>& real) const {
    const int per_shard = GetParam().rows_per_shard;
    const int64_t size = w.size() + bias.size();
    return SumOverRanks(
        world, per_shard, real, size, [&](ShardRange range, const ShardTree& tree, float* out) {
          std::vector<float> memory(cpu::ConvolutionWeightScratch(s, range.size()), NAN);
          for (int64_t unit = cpu::ConvolutionWeightUnits(s); unit-- > 0;) {
            cpu::ConvolutionWeightGradient(s, tree, unit, unit + 1,
                                           x.data() + range.begin * per_shard * reference.in_size(),
                                           dy.data() + range.begin * per_shard * reference.out_size(), out,
                                           out + w.size(), size, memory.data());
          }
        });
  }
  // A chain of n additions of random products errs by less than n * epsilon (measured: a third of it).
  double Tolerance(double products) const { return 1e-6 + 1.2e-7 * products; }

  const ConvolutionShape s;
  const Reference reference;
  const int64_t rows;
  std::vector<float> x, w, bias, dy, scratch;
};
INSTANTIATE_TEST_SUITE_P(Shapes, ConvolutionTest,
                         testing::Values(Case{{5, 5, 1, 1}}, Case{{7, 9, 1, 32}},
                                         Case{{9, 8, 3, 20, 3, 1, 1}}, Case{{6, 7, 17, 33, 3, 1, 1}},
                                         Case{{4, 4, 40, 70, 3, 1, 1}, 5, 3}, Case{{8, 9, 18, 35, 3, 2, 1}},
                                         Case{{7, 8, 16, 40, 1, 2}}, Case{{5, 31, 16, 16, 1}},
                                         Case{{11, 12, 3, 8, 7, 2, 3}}, Case{{8, 8, 6, 9, 3, 1, 1, 3}},
                                         Case{{9, 7, 34, 68, 5, 3, 2, 2}}, Case{{5, 6, 4, 4, 2, 1, 2}},
                                         Case{{3, 3, 2, 3, 1, 1, 2}}, Case{{4, 5, 8, 8, 3, 2, 1, 8}},
                                         Case{{2, 2, 3, 2, 2, 3}}, Case{{7, 6, 24, 16}, 4, 2},
                                         Case{{5, 5, 16, 20, 3, 1, 2}}, Case{{33, 37, 20, 34, 3, 1, 1}, 1, 1},
                                         Case{{160, 40, 18, 3, 3, 2, 1}, 1, 1}));

TEST_P(ConvolutionTest, ForwardDiffersFromFloat64) {
  const std::vector<float> zero(s.outputs, 0.0f);
  const std::vector<float> y = Forward({bias.data(), false}), plain = Forward({}),
                           rectified = Forward({bias.data(), true});
  const double tolerance = Tolerance(double(s.channels / s.groups * s.kernel * s.kernel));
  for (int64_t n = 0; n < rows; ++n) {
    const std::vector<double> expected =
        reference.Forward(x.data() + n * reference.in_size(), w.data(), bias.data());
    for (int64_t i = 0; i < reference.out_size(); ++i) {
      const int64_t at = n * reference.out_size() + i;
      ASSERT_NEAR(y[at], expected[i], tolerance) << "row " << n << " element " << i;
      ASSERT_EQ(rectified[at], y[at] < 0 ? 0.0f : y[at]);
      ASSERT_NEAR(plain[at], expected[i] - bias[i % s.outputs], tolerance);
    }
  }
}

TEST_P(ConvolutionTest, GradientsDifferFromFloat64) {
  std::vector<int> real(GetParam().shards, GetParam().rows_per_shard);
  if (real.size() > 2) real[1] = 0, real[2] = 1;  // a short batch
  const std::vector<float> dx = InputGradient(), dw = WeightGradient(1, real);
  std::vector<double> expected_dw(w.size() + bias.size());
  const double taps = double(s.kernel * s.kernel), pixels = double(rows * reference.rows * reference.columns);
  for (int64_t n = 0; n < rows; ++n) {
    const float *image = x.data() + n * reference.in_size(), *gradient = dy.data() + n * reference.out_size();
    const bool counts = n % GetParam().rows_per_shard < real[n / GetParam().rows_per_shard];
    std::vector<double> expected_dx(reference.in_size());
    reference.ForEach([&](int64_t xi, int64_t wi, int64_t yi) {
      expected_dx[xi] += double{gradient[yi]} * w[wi];
      if (counts) expected_dw[wi] += double{gradient[yi]} * image[xi];
    });
    for (int64_t i = 0; counts && i < reference.out_size(); ++i)
      expected_dw[w.size() + i % s.outputs] += gradient[i];
    for (int64_t i = 0; i < reference.in_size(); ++i) {
      ASSERT_NEAR(dx[n * reference.in_size() + i], expected_dx[i],
                  Tolerance(taps * double(s.outputs / s.groups)))
          << "row " << n << " element " << i;
    }
  }
  for (size_t i = 0; i < dw.size(); ++i)
    ASSERT_NEAR(dw[i], expected_dw[i], Tolerance(pixels)) << "element " << i;
}

TEST_P(ConvolutionTest, InputGradientIsNotAdded) {
  const std::vector<float> dx = InputGradient(), before = Random(x.size(), -1, 1, 9);
  std::vector<float> sum = before;
  cpu::ConvolutionInputGradient(s, 0, rows, dy.data(), Packed(true).data(), true, sum.data(), scratch.data());
  for (size_t i = 0; i < sum.size(); ++i) ASSERT_EQ(sum[i], before[i] + dx[i]);
}

TEST_P(ConvolutionTest, BitsOfARowDependOnTheRowsBesideIt) {
  const std::vector<float> y = Forward({bias.data(), true}), dx = InputGradient();
  std::vector<float> row_y(reference.out_size()), row_dx(reference.in_size());
  for (int64_t n = 0; n < rows; ++n) {
    cpu::ConvolutionForward(s, 0, 1, x.data() + n * reference.in_size(), Packed(false).data(),
                            {bias.data(), true}, row_y.data(), scratch.data());
    cpu::ConvolutionInputGradient(s, 0, 1, dy.data() + n * reference.out_size(), Packed(true).data(), false,
                                  row_dx.data(), scratch.data());
    EXPECT_EQ(std::memcmp(row_y.data(), &y[n * row_y.size()], row_y.size() * sizeof(float)), 0)
        << "row " << n;
    EXPECT_EQ(std::memcmp(row_dx.data(), &dx[n * row_dx.size()], row_dx.size() * sizeof(float)), 0)
        << "row " << n;
  }
}

TEST_P(ConvolutionTest, BitsOfTheWeightGradientDependOnThePartition) {
  std::vector<int> real(GetParam().shards, GetParam().rows_per_shard);
  real.back() -= 1;
  const std::vector<float> expected = WeightGradient(1, real);
  for (int world = 2; world <= GetParam().shards; ++world)
    EXPECT_EQ(WeightGradient(world, real), expected) << world;
}

TEST_P(ConvolutionTest, NanOfAnIgnoredRowLeaks) {
  std::vector<int> real(GetParam().shards, GetParam().rows_per_shard);
  real.back() -= 1;
  const std::vector<float> expected = WeightGradient(1, real);
  std::fill(x.end() - reference.in_size(), x.end(), std::numeric_limits<float>::quiet_NaN());
  std::fill(dy.end() - reference.out_size(), dy.end(), std::numeric_limits<float>::infinity());
  EXPECT_EQ(WeightGradient(1, real), expected);
}

// The float64 gradients above are the derivative of the float64 forward pass.
TEST(Convolution, GradientOfTheReferenceDiffersFromFiniteDifferences) {
  const Reference reference({5, 4, 4, 6, 3, 2, 1, 2});
  const std::vector<float> xf = Random(reference.in_size(), -1, 1, 1),
                           wf = Random(reference.weights(), -1, 1, 2);
  const std::vector<float> dy = Random(reference.out_size(), -1, 1, 3);
  std::vector<double> x(xf.begin(), xf.end()), w(wf.begin(), wf.end()), dx(x.size()), dw(w.size());
  const std::vector<double> bias(6, 0.5);
  reference.ForEach([&](int64_t xi, int64_t wi, int64_t yi) {
    dx[xi] += dy[yi] * w[wi];
    dw[wi] += dy[yi] * x[xi];
  });
  const auto loss = [&] {
    double sum = 0;
    const std::vector<double> y = reference.Forward(x.data(), w.data(), bias.data());
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  const auto check = [&](std::vector<double>& at, const std::vector<double>& gradient) {
    for (size_t i = 0; i < at.size(); ++i) {
      const double kept = at[i], h = 1e-4;
      at[i] = kept + h;
      const double above = loss();
      at[i] = kept - h;
      EXPECT_NEAR((above - loss()) / (2 * h), gradient[i], 1e-9);
      at[i] = kept;
    }
  };
  check(x, dx);
  check(w, dw);
}

}  // namespace
}  // namespace lockstep::kernels::convolution_test
