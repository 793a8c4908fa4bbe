#include "common/numerics/permutation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/numerics/philox.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> All(uint64_t seed, uint64_t epoch, int64_t n) {
  const Permutation permutation(seed, epoch, n);
  std::vector<int64_t> values(n);
  for (int64_t i = 0; i < n; ++i) values[i] = permutation.At(i);
  return values;
}

void ExpectBijection(uint64_t seed, uint64_t epoch, int64_t n) {
  const Permutation permutation(seed, epoch, n);
  std::vector<bool> seen(n, false);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t value = permutation.At(i);
    ASSERT_GE(value, 0);
    ASSERT_LT(value, n);
    ASSERT_FALSE(seen[value]) << "n " << n << ", epoch " << epoch << ": " << value << " comes twice";
    seen[value] = true;
    ASSERT_EQ(permutation.Inverse(value), i);
  }
}

TEST(Permutation, EverySizeUpTo300IsABijectionWithInverse) {
  for (int64_t n = 1; n <= 300; ++n) {
    for (uint64_t epoch = 0; epoch < 5; ++epoch) ExpectBijection(n * 7919, epoch, n);
  }
}

TEST(Permutation, LargeSizesAreBijections) {
  for (int64_t n : {4095, 4096, 4097, 65537, 1000003, (1 << 20) + 1}) ExpectBijection(42, 3, n);
}

TEST(Permutation, HugeSizesStayInRangeAndInvert) {
  for (int64_t n : {int64_t{1} << 40, (int64_t{1} << 40) + 1, (int64_t{1} << 61) + 12345, int64_t{1} << 62}) {
    const Permutation permutation(9, 1, n);
    for (uint64_t i = 0; i < 2000; ++i) {
      const PhiloxBlock block = Philox(1, uint64_t{static_cast<uint32_t>(RandomPurpose::kTest)} << 32, i);
      const int64_t position =
          static_cast<int64_t>((uint64_t{block.value[0]} << 32 | block.value[1]) % static_cast<uint64_t>(n));
      const int64_t value = permutation.At(position);
      ASSERT_GE(value, 0);
      ASSERT_LT(value, n);
      ASSERT_EQ(permutation.Inverse(value), position);
    }
  }
}

TEST(Permutation, EpochsAndSeedsDiffer) {
  EXPECT_EQ(All(1, 0, 1000), All(1, 0, 1000));
  std::vector<std::vector<int64_t>> orders;
  for (uint64_t seed : {uint64_t{1}, uint64_t{2}, uint64_t{1} << 40}) {
    for (uint64_t epoch = 0; epoch < 10; ++epoch) orders.push_back(All(seed, epoch, 1000));
  }
  for (size_t i = 0; i < orders.size(); ++i) {
    for (size_t j = i + 1; j < orders.size(); ++j) {
      int same = 0;
      for (int k = 0; k < 1000; ++k) same += orders[i][k] == orders[j][k];
      EXPECT_LT(same, 10) << i << " and " << j;  // Poisson with mean 1
    }
  }
}

// Each value stands at each position equally often over many epochs: chi-square with (n-1)^2 degrees of
// freedom, bound five deviations above its mean.
TEST(Permutation, PositionsAreUniformOverEpochs) {
  for (int64_t n : {2, 3, 5, 10, 17, 64}) {
    const int epochs = 6400;
    std::vector<int> count(n * n, 0);
    for (int epoch = 0; epoch < epochs; ++epoch) {
      const Permutation permutation(11, epoch, n);
      for (int64_t i = 0; i < n; ++i) ++count[i * n + permutation.At(i)];
    }
    const double expected = static_cast<double>(epochs) / n;
    double chi = 0;
    for (int c : count) chi += (c - expected) * (c - expected) / expected;
    const double freedom = static_cast<double>((n - 1) * (n - 1));
    EXPECT_LT(chi, freedom + 5 * std::sqrt(2 * freedom)) << n;
  }
}

// Neighbours do not stay together: the pair (At(0), At(1)) is uniform over ordered pairs.
TEST(Permutation, PairsAreUniformOverEpochs) {
  const int n = 9, epochs = 72 * 200;
  std::vector<int> count(n * n, 0);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const Permutation permutation(5, epoch, n);
    ++count[permutation.At(0) * n + permutation.At(1)];
  }
  double chi = 0;
  for (int i = 0; i < n; ++i) {
    EXPECT_EQ(count[i * n + i], 0);
    for (int j = 0; j < n; ++j) {
      if (i != j) chi += (count[i * n + j] - 200.0) * (count[i * n + j] - 200.0) / 200.0;
    }
  }
  EXPECT_LT(chi, 71 + 5 * std::sqrt(2 * 71.0));
}

// A change of these numbers changes the order of every job: raise the arithmetic revision with it.
TEST(Permutation, KnownAnswersStayFixed) {
  EXPECT_THAT(All(7, 0, 10), ElementsAre(2, 1, 3, 0, 7, 8, 5, 6, 9, 4));
  std::vector<int64_t> order = All(7, 3, 1437);
  order.resize(8);
  EXPECT_THAT(order, ElementsAre(849, 1137, 795, 968, 580, 651, 1340, 412));
}

}  // namespace
}  // namespace lockstep
