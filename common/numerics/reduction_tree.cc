#include "common/numerics/reduction_tree.h"

#include <algorithm>
#include <cstddef>

namespace lockstep {

ShardRange ShardsOfRank(int shards, int world, int rank) {
  const int base = shards / world;
  const int larger = shards % world;
  const int begin = rank * base + std::min(rank, larger);
  return {begin, begin + base + (rank < larger ? 1 : 0)};
}

ShardRange Covered(TreeNode node, int shards) {
  return {std::min(node.index << node.level, shards), std::min((node.index + 1) << node.level, shards)};
}

TreeNode Root(int shards) {
  int level = 0;
  while ((1 << level) < shards) ++level;
  return {level, 0};
}

std::vector<TreeNode> MaximalNodes(int shards, ShardRange range) {
  std::vector<TreeNode> nodes;
  VisitMaximalNodes(shards, range, [&nodes](TreeNode node) { nodes.push_back(node); });
  return nodes;
}

namespace {

// Returns the slot that holds node's value after the additions appended so far.
int Append(TreeNode node, int shards, const std::vector<TreeNode>& leaves, TreeSchedule& schedule) {
  const ShardRange wanted = Covered(node, shards);
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (Covered(leaves[i], shards) == wanted) return static_cast<int>(i);
  }
  const TreeNode left{node.level - 1, node.index * 2};
  const TreeNode right{node.level - 1, node.index * 2 + 1};
  const int target = Append(left, shards, leaves, schedule);
  if (Covered(right, shards).size() > 0) {
    schedule.adds.push_back({target, Append(right, shards, leaves, schedule)});
  }
  return target;
}

}  // namespace

TreeSchedule ScheduleFor(TreeNode node, int shards, const std::vector<TreeNode>& leaves) {
  TreeSchedule schedule;
  schedule.result = Append(node, shards, leaves, schedule);
  return schedule;
}

}  // namespace lockstep
