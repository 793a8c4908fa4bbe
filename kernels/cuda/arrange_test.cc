#include "kernels/cuda/arrange.h"

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_arrange_test {
namespace {

class CudaArrange : public CudaTest {};

TEST_F(CudaArrange, AddIsNotASum) {
  for (const int64_t count : {1, 1027}) {
    const std::vector<float> a = Random(count, -1, 1, 1), b = Random(count, -1, 1, 2);
    const auto out = InAnyOrder([&] {
      const OnDevice<float> x(a), y(b), z(count);
      EXPECT_LAUNCHED(cuda::AddForward(count, x.get(), y.get(), z.get(), nullptr));
      EXPECT_LAUNCHED(cuda::AddForward(count, x.get(), y.get(), x.get(), nullptr));
      return Outputs{z.Fetch(), x.Fetch()};
    });
    for (int64_t i = 0; i < count; ++i) ASSERT_EQ(out[0][i], a[i] + b[i]);
    EXPECT_EQ(out[1], out[0]);
  }
}

TEST_F(CudaArrange, BlocksAreZeroedElsewhereOrNotAll) {
  for (const int64_t width : {1, 5, 8}) {
    for (const int64_t stride : {12, 13}) {
      const int64_t blocks = 33;
      const std::vector<float> before = Random(blocks * stride, 1, 2, 1);
      const auto out = InAnyOrder([&] {
        const OnDevice<float> to(before);
        EXPECT_LAUNCHED(cuda::ZeroBlocks(blocks, width, to.get() + 4, stride, nullptr));
        return Outputs{to.Fetch()};
      });
      for (int64_t i = 0; i < blocks * stride; ++i) {
        const bool zero = i % stride >= 4 && i % stride < 4 + width;
        ASSERT_EQ(out[0][i], zero ? 0.0f : before[i]) << i << " of " << width << " in " << stride;
      }
    }
  }
}

TEST_F(CudaArrange, BlocksAreCopiedFromOrToTheWrongPlace) {
  for (const int64_t width : {1, 5, 8}) {
    for (const int64_t stride : {12, 13}) {
      const int64_t blocks = 33;
      const std::vector<float> in = Random(blocks * stride, -1, 1, 1), before = Random(blocks * 20, -1, 1, 2);
      const auto out = InAnyOrder([&] {
        const OnDevice<float> from(in), to(before), sum(before);
        EXPECT_LAUNCHED(
            cuda::CopyBlocks(blocks, width, from.get() + 4, stride, false, to.get() + 8, 20, nullptr));
        EXPECT_LAUNCHED(
            cuda::CopyBlocks(blocks, width, from.get() + 4, stride, true, sum.get() + 8, 20, nullptr));
        return Outputs{to.Fetch(), sum.Fetch()};
      });
      for (int64_t i = 0; i < blocks * 20; ++i) {
        const int64_t column = i % 20 - 8;
        const bool copied = column >= 0 && column < width;
        const float value = copied ? in[i / 20 * stride + column + 4] : 0.0f;
        ASSERT_EQ(out[0][i], copied ? value : before[i]);
        ASSERT_EQ(out[1][i], copied ? before[i] + value : before[i]);
      }
    }
  }
}

TEST_F(CudaArrange, PermutationDiffersFromTheCpus) {
  const Permutation permutations[] = {{1, {7}, {0}},
                                      {2, {33, 70}, {1, 0}},
                                      {2, {64, 32}, {1, 0}},
                                      {3, {5, 6, 8}, {1, 0, 2}},
                                      {3, {4, 35, 3}, {2, 0, 1}},
                                      {3, {4, 35, 3}, {0, 2, 1}},
                                      {4, {3, 1, 40, 5}, {3, 2, 1, 0}},
                                      {6, {2, 3, 2, 3, 2, 5}, {5, 1, 3, 0, 4, 2}},
                                      {6, {2, 3, 2, 3, 2, 4}, {4, 1, 3, 0, 2, 5}}};
  for (const Permutation& permutation : permutations) {
    for (const int64_t rows : {1, 3}) {
      int64_t count = rows;
      for (int i = 0; i < permutation.rank; ++i) count *= permutation.shape[i];
      const std::vector<float> in = Random(count, -1, 1, 1), before = Random(count, -1, 1, 2);
      std::vector<float> copied(count), added = before;
      cpu::Permute(permutation, rows, in.data(), false, copied.data());
      cpu::Permute(permutation, rows, in.data(), true, added.data());
      const auto out = InAnyOrder([&] {
        const OnDevice<float> from(in), to(count), sum(before);
        EXPECT_LAUNCHED(cuda::Permute(permutation, rows, from.get(), false, to.get(), nullptr));
        EXPECT_LAUNCHED(cuda::Permute(permutation, rows, from.get(), true, sum.get(), nullptr));
        return Outputs{to.Fetch(), sum.Fetch()};
      });
      EXPECT_EQ(out[0], copied);
      EXPECT_EQ(out[1], added);
    }
  }
}

TEST_F(CudaArrange, BlockOfManySquaresMixesThem) {
  const Permutation transpose{2, {2, 3}, {1, 0}};
  const int64_t rows = 2100, count = rows * 6;  // more than twice the blocks
  const std::vector<float> in = Random(count, -1, 1, 1);
  const OnDevice<float> from(in), to(count);
  EXPECT_LAUNCHED(cuda::Permute(transpose, rows, from.get(), false, to.get(), nullptr));
  std::vector<float> expected(count);
  cpu::Permute(transpose, rows, in.data(), false, expected.data());
  EXPECT_EQ(to.Fetch(), expected);
}

}  // namespace
}  // namespace lockstep::kernels::cuda_arrange_test
