#include "kernels/dropout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

TEST(Dropout, MaskIsNotTheOneOfTheHeader) {
  DropoutKey key;
  key.seed = 0x123456789abcdefull;
  key.layer = 3;
  key.step = (int64_t{1} << 33) + 17;
  key.first_row = 1000;
  for (const int width : {1, 15, 64, 65, 131}) {
    const int rows = 3;
    const double p = 0.3;
    const std::vector<float> x = Random(rows * width, -1, 1, 1);
    std::vector<float> y(x.size()), dx = x;
    std::vector<uint8_t> mask(x.size(), 7);
    cpu::DropoutForward(key, p, rows, width, x.data(), y.data(), mask.data());
    cpu::DropoutBackward(p, rows * width, mask.data(), dx.data(), dx.data());
    for (int i = 0; i < rows * width; ++i) {
      const int row = i / width, column = i % width;
      const int g = column / 64, k = column % 64 / 16, j = column % 16;
      const PhiloxBlock block =
          Philox(key.seed, key.CounterHigh(), (uint64_t(1000 + row) << 32) | (16 * g + j));
      const bool kept = block.value[k] >= DropoutThreshold(p);
      EXPECT_EQ(mask[i], kept ? 1 : 0) << row << ", " << column;
      EXPECT_EQ(y[i], kept ? x[i] * static_cast<float>(1 / 0.7) : 0.0f);
      EXPECT_EQ(dx[i], y[i]);
    }
  }
}

TEST(Dropout, RateIsOff) {
  const int rows = 1000, width = 192;
  const std::vector<float> x(rows * width, 1.0f);
  std::vector<float> y(x.size());
  std::vector<uint8_t> mask(x.size());
  DropoutKey key;
  key.seed = 1;
  cpu::DropoutForward(key, 0.1, rows, width, x.data(), y.data(), mask.data());
  double sum = 0;
  for (float value : y) sum += value;
  // Mean 1, deviation sqrt(p / (1 - p) / n).
  EXPECT_NEAR(sum / y.size(), 1.0, 5 * std::sqrt(0.1 / 0.9 / y.size()));
}

TEST(Dropout, RowDependsOnItsNeighbours) {
  const int rows = 8, width = 70;
  const std::vector<float> x = Random(rows * width, -1, 1, 2);
  std::vector<float> whole(x.size()), row(width);
  std::vector<uint8_t> mask(x.size());
  DropoutKey key;
  key.step = 5;
  cpu::DropoutForward(key, 0.5, rows, width, x.data(), whole.data(), mask.data());
  for (int r = 0; r < rows; ++r) {
    key.first_row = r;
    cpu::DropoutForward(key, 0.5, 1, width, x.data() + r * width, row.data(), mask.data());
    EXPECT_EQ(row, std::vector<float>(whole.begin() + r * width, whole.begin() + (r + 1) * width));
  }
}

}  // namespace
}  // namespace lockstep::kernels
