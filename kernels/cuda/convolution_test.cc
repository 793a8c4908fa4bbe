#include "kernels/cuda/convolution.h"

#include <cmath>

#include "kernels/cuda/shard_tree_for_test.h"
#include "kernels/shard_tree_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_convolution_test {
namespace {

constexpr int kPerShard = 2;
const std::vector<int> kRows = {2, 1, 2, 0, 2};  // real ones of each shard

// Every edge of an image and a window, channels that are read four at a time and that are not, groups.
constexpr ConvolutionShape kShapes[] = {{5, 5, 3, 4, 3, 1, 1, 1}, {6, 4, 8, 5, 3, 2, 1, 1},
                                        {7, 7, 4, 6, 1, 1, 0, 1}, {5, 6, 4, 8, 3, 1, 1, 2},
                                        {4, 4, 3, 3, 3, 1, 0, 3}, {3, 3, 2, 70, 2, 2, 1, 1}};

// The definition, in float64, over the real rows; in bf16 of operands that are rounded already.
struct Reference {
  Reference(const ConvolutionShape& shape, GemmType type)
      : s(shape),
        rows(static_cast<int64_t>(kRows.size()) * kPerShard),
        out_height(ConvolvedExtent(s.height, s.kernel, s.stride, s.padding)),
        out_width(ConvolvedExtent(s.width, s.kernel, s.stride, s.padding)),
        in_size(s.height * s.width * s.channels),
        out_size(out_height * out_width * s.outputs),
        weights(s.outputs * s.channels / s.groups * s.kernel * s.kernel),
        x(Random(rows * in_size, -1, 1, 1)),
        w(Random(weights, -1, 1, 2)),
        dy(Random(rows * out_size, -1, 1, 3)),
        dx0(Random(rows * in_size, -1, 1, 4)),
        y(rows * out_size),
        dx(dx0.begin(), dx0.end()),
        dw(weights) {
    if (type == GemmType::kBf16) {
      for (std::vector<float>* operand : {&x, &w, &dy}) {
        for (float& value : *operand) value = RoundedToBf16(value);
      }
    }
    for (int64_t n = 0; n < rows; ++n) AddImage(n);
  }

  void AddImage(int64_t n) {
    const bool real = n % kPerShard < kRows[n / kPerShard];
    const int64_t inputs = s.channels / s.groups, outputs = s.outputs / s.groups;
    for (int64_t at = 0; at < out_size * inputs * s.kernel * s.kernel; ++at) {
      int64_t left = at;
      const auto next = [&left](int64_t extent) {
        const int64_t index = left % extent;
        left /= extent;
        return index;
      };
      const int64_t kw = next(s.kernel), kh = next(s.kernel), i = next(inputs), o = next(s.outputs),
                    c = next(out_width), r = next(out_height);
      const int64_t h = r * s.stride + kh - s.padding, v = c * s.stride + kw - s.padding;
      if (h < 0 || h >= s.height || v < 0 || v >= s.width) continue;
      const int64_t xi = n * in_size + (h * s.width + v) * s.channels + o / outputs * inputs + i;
      const int64_t wi = ((o * inputs + i) * s.kernel + kh) * s.kernel + kw;
      const int64_t yi = n * out_size + (r * out_width + c) * s.outputs + o;
      y[yi] += double{x[xi]} * w[wi];
      dx[xi] += double{dy[yi]} * w[wi];
      if (real) dw[wi] += double{x[xi]} * dy[yi];
    }
  }

  const ConvolutionShape s;
  const int64_t rows, out_height, out_width, in_size, out_size, weights;
  std::vector<float> x, w, dy, dx0;
  std::vector<double> y, dx, dw;
};

class CudaConvolution : public CudaTest {};

class CudaConvolutionOf : public CudaConvolution, public testing::WithParamInterface<GemmType> {};
INSTANTIATE_TEST_SUITE_P(Types, CudaConvolutionOf, testing::Values(GemmType::kFp32, GemmType::kBf16),
                         [](const auto& of) { return of.param == GemmType::kBf16 ? "bf16" : "fp32"; });

TEST_P(CudaConvolutionOf, ForwardOrInputGradientDiffersFromFloat64) {
  for (const ConvolutionShape& s : kShapes) {
    const Reference of(s, GetParam());
    const auto out = InAnyOrder([&] {
      const OnDevice<float> x(of.x), w(of.w), dy(of.dy), packed(of.weights), y(of.y.size()), dx(of.dx0);
      EXPECT_LAUNCHED(cuda::ConvolutionPack(s, false, w.get(), packed.get(), nullptr));
      EXPECT_LAUNCHED(
          cuda::ConvolutionForward(GetParam(), s, of.rows, x.get(), packed.get(), y.get(), nullptr));
      EXPECT_LAUNCHED(cuda::ConvolutionPack(s, true, w.get(), packed.get(), nullptr));
      EXPECT_LAUNCHED(cuda::ConvolutionInputGradient(GetParam(), s, of.rows, dy.get(), packed.get(), true,
                                                     dx.get(), nullptr));
      return Outputs{y.Fetch(), dx.Fetch()};
    });
    ExpectClose(out[0], of.y, 1e-5);
    ExpectClose(out[1], of.dx, 1e-5);
  }
}

TEST_P(CudaConvolutionOf, WeightGradientDiffersFromFloat64OrDependsOnTheRanks) {
  for (const ConvolutionShape& s : kShapes) {
    Reference of(s, GetParam());
    for (int64_t n = 0; n < of.rows; ++n) {  // padding is not read
      if (n % kPerShard >= kRows[n / kPerShard]) of.x[n * of.in_size] = of.dy[n * of.out_size] = NAN;
    }
    std::vector<float> alone;
    for (const int world : {1, 2, 3}) {
      const auto sum = SumOverRanks(
          world, kPerShard, kRows, of.weights, [&](ShardRange range, const ShardTree& local, float* out) {
            const TreeOnDevice tree(kPerShard, 1, {local.rows, local.rows + local.shards()},
                                    {local.node_end, local.node_end + local.nodes});
            const int64_t first = int64_t{range.begin} * kPerShard;
            const OnDevice<float> x(std::vector<float>(of.x.begin() + first * of.in_size, of.x.end())),
                dy(std::vector<float>(of.dy.begin() + first * of.out_size, of.dy.end())),
                scratch(cuda::ConvolutionWeightScratch(s, local.shards(), local.nodes)),
                dw(local.nodes * of.weights);
            EXPECT_LAUNCHED(cuda::ConvolutionWeightGradient(GetParam(), s, tree.tree, x.get(), dy.get(),
                                                            dw.get(), of.weights, scratch.get(), nullptr));
            const std::vector<float> result = dw.Fetch();
            std::copy(result.begin(), result.end(), out);
          });
      if (world == 1) ExpectClose(alone = sum, of.dw, 1e-5);
      EXPECT_EQ(sum, alone) << world << " ranks";
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_convolution_test
