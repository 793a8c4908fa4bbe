#include "kernels/arrange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

TEST(Arrange, SumIsWrongApartOrInPlace) {
  const std::vector<float> a = Random(37, -1, 1, 1), b = Random(37, -1, 1, 2);
  std::vector<float> y(37), in_place = a;
  cpu::AddForward(37, a.data(), b.data(), y.data());
  cpu::AddForward(37, in_place.data(), b.data(), in_place.data());
  for (int i = 0; i < 37; ++i) EXPECT_EQ(y[i], a[i] + b[i]);
  EXPECT_EQ(in_place, y);
}

TEST(Arrange, BlocksLandElsewhere) {
  const std::vector<float> in = Random(4 * 7, -1, 1, 1);
  std::vector<float> out(4 * 10, 9.0f);
  cpu::CopyBlocks(4, 5, in.data() + 1, 7, false, out.data() + 3, 10);
  std::vector<float> twice = out;
  cpu::CopyBlocks(4, 5, in.data() + 1, 7, true, twice.data() + 3, 10);
  for (int i = 0; i < 40; ++i) {
    const bool inside = i % 10 >= 3 && i % 10 < 8;
    EXPECT_EQ(out[i], inside ? in[i / 10 * 7 + 1 + i % 10 - 3] : 9.0f);
    EXPECT_EQ(twice[i], inside ? 2 * out[i] : 9.0f);
  }
}

// Every permutation of up to four axes, some of extent one; and its inverse, which is its gradient.
TEST(Arrange, PermutationOrItsInverseIsWrong) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{5}, {1, 1}, {3, 18}, {4, 1, 6}, {33, 2, 19}, {2, 3, 4, 5}, {2, 1, 17, 3}}) {
    const int rank = static_cast<int>(shape.size());
    const int64_t size = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    const int64_t rows = 2;
    const std::vector<float> in = Random(rows * size, -1, 1, 3);
    std::vector<int> axes(rank);
    std::iota(axes.begin(), axes.end(), 0);
    do {
      Permutation there{rank, {}, {}}, back{rank, {}, {}};
      for (int i = 0; i < rank; ++i) {
        there.shape[i] = shape[i];
        there.axes[i] = axes[i];
        back.shape[i] = shape[axes[i]];
        back.axes[axes[i]] = i;
      }
      std::vector<float> out(in.size()), again(in.size(), 1.0f);
      cpu::Permute(there, rows, in.data(), false, out.data());
      cpu::Permute(back, rows, out.data(), true, again.data());
      for (int64_t i = 0; i < rows * size; ++i) {
        EXPECT_EQ(again[i], in[i] + 1.0f);
        int64_t index[kMaxAxes] = {}, rest = i % size, place = 0;
        for (int axis = rank - 1; axis >= 0; rest /= shape[axis--]) index[axis] = rest % shape[axis];
        for (int axis = 0; axis < rank; ++axis) place = place * shape[axes[axis]] + index[axes[axis]];
        ASSERT_EQ(out[i / size * size + place], in[i]) << testing::PrintToString(axes);
      }
    } while (std::next_permutation(axes.begin(), axes.end()));
  }
}

}  // namespace
}  // namespace lockstep::kernels
