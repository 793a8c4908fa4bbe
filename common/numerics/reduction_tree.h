// The fixed binary tree in which the gradients of the logical shards are summed, whoever holds them.
//
//   level 2        s0..s3            s4          (5 shards: a node without a sibling is passed up unchanged)
//   level 1     s0+s1   s2+s3        s4
//   level 0    s0   s1  s2   s3      s4
//
// Node (level, index) covers shards [index << level, min((index + 1) << level, shards)). Its value is that of
// its left child plus that of its right child, in this order, in float; a missing right child adds nothing
// (it is not a zero).
#pragma once

#include <vector>

namespace lockstep {

struct ShardRange {
  int begin = 0;
  int end = 0;  // exclusive
  int size() const { return end - begin; }
  friend bool operator==(const ShardRange&, const ShardRange&) = default;
};

struct TreeNode {
  int level = 0;
  int index = 0;
  friend bool operator==(const TreeNode&, const TreeNode&) = default;
};

// The contiguous shards of `rank`: sizes differ by one at most, larger ones first. REQUIRES: world <= shards.
ShardRange ShardsOfRank(int shards, int world, int rank);

// The shards that `node` covers.
ShardRange Covered(TreeNode node, int shards);

// The root: the node that covers all shards.
TreeNode Root(int shards);

// Calls visit(TreeNode) for each of MaximalNodes, from left to right; allocates nothing.
template <class Visit>
void VisitMaximalNodes(int shards, ShardRange range, const Visit& visit) {
  int at = range.begin;
  while (at < range.end) {
    TreeNode node{0, at};
    // Climb while the parent starts here too and still lies inside; at the right edge a parent may cover no
    // more than its child.
    while (node.index % 2 == 0 && node.level < Root(shards).level) {
      const TreeNode parent{node.level + 1, node.index / 2};
      if (Covered(parent, shards).end > range.end) break;
      node = parent;
    }
    visit(node);
    at = Covered(node, shards).end;
  }
}

// The largest nodes that lie wholly inside `range`, from left to right: what a rank can sum by itself.
std::vector<TreeNode> MaximalNodes(int shards, ShardRange range);

// One addition of the tree over a list of slots: slot[target] += slot[source]. Executed in order they leave
// the sum in slot `result`.
struct TreeAdd {
  int target = 0;
  int source = 0;
};
struct TreeSchedule {
  std::vector<TreeAdd> adds;
  int result = 0;
};

// The additions that reduce `leaves` (disjoint nodes from left to right which together cover `node`) to
// node's value; slots are indices into `leaves`. REQUIRES: such a cover.
TreeSchedule ScheduleFor(TreeNode node, int shards, const std::vector<TreeNode>& leaves);

}  // namespace lockstep
