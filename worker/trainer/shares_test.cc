#include "worker/trainer/shares.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SharesTest, OneRankOwnsEverything) {
  const Shares shares = ShareOut(100, {50, 50, 10}, 1);
  EXPECT_THAT(shares.owner, Each(0));
  EXPECT_EQ(shares.parts, 1);
  EXPECT_THAT(shares.part, ElementsAre(0));
}

TEST(SharesTest, TheWeightsCountForRankZero) {
  // AdamW: twice the weights again. Of three ranks each has a third.
  const Shares shares = ShareOut(400, {100, 100, 100, 100, 100, 100, 100, 100}, 3);
  EXPECT_THAT(shares.owner, ElementsAre(1, 1, 1, 1, 2, 2, 2, 2));
  EXPECT_THAT(shares.part, ElementsAre(-1, 0, 1));
  EXPECT_EQ(shares.parts, 2);
  EXPECT_THAT(ShareOut(400, {100, 100, 100, 100, 100, 100, 100, 100}, 2).owner,
              ElementsAre(0, 0, 1, 1, 1, 1, 1, 1));
}

TEST(SharesTest, OwnersAscendAndNobodyHasMuchMoreThanItsPart) {
  const std::vector<int64_t> tensors(1000, 7);
  for (const int world : {2, 3, 7, 64}) {
    const Shares shares = ShareOut(3500, tensors, world);
    EXPECT_TRUE(std::is_sorted(shares.owner.begin(), shares.owner.end()));
    std::vector<int64_t> bytes(world);
    bytes[0] = 3500;
    for (size_t i = 0; i < tensors.size(); ++i) bytes[shares.owner[i]] += tensors[i];
    for (int rank = 1; rank < world; ++rank)
      EXPECT_LE(bytes[rank], 10500 / world + 14) << rank << " of " << world;
  }
}

TEST(SharesTest, FewTensorsLeaveRanksWithoutAny) {
  const Shares shares = ShareOut(10, {1000}, 4);
  EXPECT_EQ(shares.parts, 1);
  EXPECT_EQ(std::count(shares.part.begin(), shares.part.end(), -1), 3);
  EXPECT_THAT(ShareOut(10, {}, 4).owner, IsEmpty());
  EXPECT_EQ(ShareOut(0, {0, 0}, 4).parts, 1);
}

}  // namespace
}  // namespace lockstep
