#include "common/data/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "common/numerics/philox.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

v1::SplitSpec Fractions(double train, double validation, double test) {
  v1::SplitSpec spec;
  spec.set_train(train);
  spec.set_validation(validation);
  spec.set_test(test);
  return spec;
}

std::vector<int32_t> RandomClasses(int64_t records, int classes, uint64_t seed) {
  std::vector<int32_t> class_of;
  for (int64_t r = 0; r < records; ++r) {
    // Uneven: the minimum of two draws favours the low classes.
    const PhiloxBlock block =
        Philox(seed, uint64_t{static_cast<uint32_t>(RandomPurpose::kTest)} << 32, static_cast<uint64_t>(r));
    class_of.push_back(
        static_cast<int32_t>(std::min(block.value[0], block.value[1]) % static_cast<uint32_t>(classes)));
  }
  return class_of;
}

TEST(Split, PartsAreDisjointCoverAllAndKeepTheFractionsOverallAndInEachClass) {
  const double fractions[][3] = {
      {0.8, 0.1, 0.1}, {0.7, 0.15, 0.15}, {0.34, 0.33, 0.33}, {0.5, 0.5, 0}, {0.9, 0, 0.1}};
  for (const auto& f : fractions) {
    for (int64_t records : {30, 101, 1000, 1797}) {
      for (int classes : {0, 2, 3, 10}) {
        for (uint64_t seed = 1; seed <= 5; ++seed) {
          const std::vector<int32_t> class_of =
              classes ? RandomClasses(records, classes, seed) : std::vector<int32_t>();
          const auto split = SplitRecords(records, class_of, classes, Fractions(f[0], f[1], f[2]), seed);
          ASSERT_TRUE(split.ok()) << split.status();
          std::set<int64_t> seen;
          std::vector<std::array<int, 3>> counts(static_cast<size_t>(std::max(classes, 1)));
          for (size_t p = 0; p < 3; ++p) {
            EXPECT_TRUE(std::is_sorted(split->records[p].begin(), split->records[p].end()));
            EXPECT_LT(std::fabs(static_cast<double>(split->records[p].size()) -
                                static_cast<double>(records) * f[p]),
                      1.0);
            for (int64_t r : split->records[p]) {
              ASSERT_TRUE(r >= 0 && r < records && seen.insert(r).second);
              if (classes) ++counts[static_cast<size_t>(class_of[static_cast<size_t>(r)])][p];
            }
          }
          ASSERT_EQ(seen.size(), static_cast<size_t>(records));
          for (const auto& count : counts) {
            const double size = count[0] + count[1] + count[2];
            for (size_t p = 0; p < 3; ++p) {
              EXPECT_LE(std::fabs(count[p] - size * f[p]), 1.0 + 1e-9)
                  << records << " records, " << classes << " classes, seed " << seed << ", part " << p
                  << " of " << size;
            }
          }
        }
      }
    }
  }
}

TEST(Split, ExactFractionsGiveExactSizes) {
  const auto split = SplitRecords(100, {}, 0, Fractions(0.7, 0.2, 0.1), 3);
  ASSERT_TRUE(split.ok());
  EXPECT_EQ(split->records[0].size(), 70u);
  EXPECT_EQ(split->records[1].size(), 20u);
  EXPECT_EQ(split->records[2].size(), 10u);
}

TEST(Split, SeedDecidesTheSplit) {
  const auto a = SplitRecords(200, {}, 0, Fractions(0.8, 0.1, 0.1), 1);
  EXPECT_EQ(a->records, SplitRecords(200, {}, 0, Fractions(0.8, 0.1, 0.1), 1)->records);
  EXPECT_NE(a->records, SplitRecords(200, {}, 0, Fractions(0.8, 0.1, 0.1), 2)->records);
}

TEST(Split, EachRecordIsEquallyLikelyToBeHeldOut) {
  std::vector<int> held(50, 0);
  const int seeds = 2000;
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    const auto split = SplitRecords(50, {}, 0, Fractions(0.8, 0, 0.2), seed);
    for (int64_t r : split->records[2]) ++held[static_cast<size_t>(r)];
  }
  for (int count : held) EXPECT_NEAR(count, 400, 5 * std::sqrt(seeds * 0.2 * 0.8));
}

TEST(Split, RareClassGoesToTrainingFirst) {
  std::vector<int32_t> class_of(50, 0);
  class_of[17] = 1;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto split = SplitRecords(50, class_of, 2, Fractions(0.6, 0.2, 0.2), seed);
    EXPECT_THAT(split->records[0], ::testing::Contains(17));
  }
}

TEST(Split, EmptyPartIsRefusedWithSizesAndWhatToDo) {
  const auto split = SplitRecords(5, {}, 0, Fractions(0.8, 0.15, 0.05), 1);
  EXPECT_EQ(split.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(split.status().message()), HasSubstr("leaves the test part empty"));
  EXPECT_THAT(std::string(split.status().message()),
              HasSubstr("of 5 records, train gets 4, validation 1, test 0"));
  EXPECT_THAT(std::string(split.status().message()),
              HasSubstr("raise dataset.split.test (now 0.05) to at least 0.2"));
  EXPECT_THAT(std::string(split.status().message()), HasSubstr("set it to exactly 0"));
  EXPECT_THAT(std::string(SplitRecords(3, {}, 0, Fractions(0, 0.5, 0.5), 1).status().message()),
              HasSubstr("leaves the train part empty"));
}

TEST(Split, PartWithFractionZeroIsAbsentOnPurpose) {
  const auto split = SplitRecords(5, {}, 0, Fractions(1, 0, 0), 1);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(split->records[0].size(), 5u);
  EXPECT_TRUE(split->records[1].empty());
}

TEST(Split, WrongFractionsAreRefused) {
  EXPECT_THAT(std::string(SplitRecords(9, {}, 0, Fractions(0.8, 0.1, 0.2), 1).status().message()),
              HasSubstr("sum to 1"));
  EXPECT_THAT(std::string(SplitRecords(9, {}, 0, Fractions(1.2, -0.1, -0.1), 1).status().message()),
              HasSubstr("0..1"));
  EXPECT_FALSE(SplitRecords(9, {}, 0, Fractions(std::nan(""), 0.5, 0.5), 1).ok());
}

}  // namespace
}  // namespace lockstep
