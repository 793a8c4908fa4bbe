#include "common/numerics/reduction_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/numerics/philox.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;

TEST(ReductionTree, RangesCoverAllShardsInOrder) {
  for (int shards = 1; shards <= 17; ++shards) {
    for (int world = 1; world <= shards; ++world) {
      int at = 0;
      for (int rank = 0; rank < world; ++rank) {
        const ShardRange range = ShardsOfRank(shards, world, rank);
        EXPECT_EQ(range.begin, at);
        EXPECT_GE(range.size(), shards / world);
        at = range.end;
      }
      EXPECT_EQ(at, shards);
    }
  }
}

TEST(ReductionTree, MaximalNodesOfThreeRanksOverEight) {
  EXPECT_THAT(MaximalNodes(8, {0, 3}), ElementsAre(TreeNode{1, 0}, TreeNode{0, 2}));
  EXPECT_THAT(MaximalNodes(8, {3, 6}), ElementsAre(TreeNode{0, 3}, TreeNode{1, 2}));
  EXPECT_THAT(MaximalNodes(8, {6, 8}), ElementsAre(TreeNode{1, 3}));
  EXPECT_THAT(MaximalNodes(8, {0, 8}), ElementsAre(TreeNode{3, 0}));
}

TEST(ReductionTree, SumHasTheSameBitsForEveryWorldSize) {
  for (int shards : {1, 2, 3, 5, 8, 13, 16}) {
    std::vector<float> leaf(shards);
    for (int s = 0; s < shards; ++s) {
      leaf[s] = std::exp(20.0f * UniformFromBits(Philox(1, 2, s).value[0]) - 10.0f) * (s % 2 ? -1.0f : 1.0f);
    }
    std::vector<TreeNode> single;
    for (int s = 0; s < shards; ++s) single.push_back({0, s});
    std::vector<float> slots = leaf;
    const TreeSchedule whole = ScheduleFor(Root(shards), shards, single);
    for (const TreeAdd& add : whole.adds) slots[add.target] += slots[add.source];
    const float expected = slots[whole.result];

    for (int world = 1; world <= shards; ++world) {
      std::vector<TreeNode> nodes;
      std::vector<float> sums;
      for (int rank = 0; rank < world; ++rank) {
        const ShardRange range = ShardsOfRank(shards, world, rank);
        for (const TreeNode& node : MaximalNodes(shards, range)) {
          const ShardRange covered = Covered(node, shards);
          std::vector<TreeNode> leaves;
          std::vector<float> values;
          for (int s = covered.begin; s < covered.end; ++s) {
            leaves.push_back({0, s});
            values.push_back(leaf[s]);
          }
          const TreeSchedule part = ScheduleFor(node, shards, leaves);
          for (const TreeAdd& add : part.adds) values[add.target] += values[add.source];
          nodes.push_back(node);
          sums.push_back(values[part.result]);
        }
      }
      const TreeSchedule rest = ScheduleFor(Root(shards), shards, nodes);
      for (const TreeAdd& add : rest.adds) sums[add.target] += sums[add.source];
      EXPECT_EQ(sums[rest.result], expected) << shards << " shards on " << world;
    }
  }
}

}  // namespace
}  // namespace lockstep
