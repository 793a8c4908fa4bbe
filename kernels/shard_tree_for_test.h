// For tests of kernels that sum over shards: the local part of a job's reduction tree, and what the ranks'
// sums come to.
#pragma once

#include <vector>

#include "common/numerics/reduction_tree.h"
#include "kernels/shard_outer.h"

namespace lockstep::kernels {

struct LocalTree {
  // `all_rows`: the real rows of each shard of the job.
  LocalTree(ShardRange range, int rows_per_shard, const std::vector<int>& all_rows)
      : rows(all_rows.begin() + range.begin, all_rows.begin() + range.end),
        nodes(MaximalNodes(static_cast<int>(all_rows.size()), range)) {
    for (const TreeNode& node : nodes) {
      ends.push_back(Covered(node, static_cast<int>(all_rows.size())).end - range.begin);
    }
    tree = {rows_per_shard, rows.data(), static_cast<int>(ends.size()), ends.data()};
  }
  LocalTree(const LocalTree&) = delete;
  std::vector<int> rows, ends;
  std::vector<TreeNode> nodes;
  ShardTree tree;
};

// `run(range, tree, out)` writes (nodes, size) to out for each of `world` ranks; returns the sum over all.
template <typename Run>
std::vector<float> SumOverRanks(int world, int rows_per_shard, const std::vector<int>& rows, size_t size,
                                Run run) {
  const int shards = static_cast<int>(rows.size());
  std::vector<TreeNode> nodes;
  std::vector<std::vector<float>> sums;
  for (int rank = 0; rank < world; ++rank) {
    const ShardRange range = ShardsOfRank(shards, world, rank);
    const LocalTree local(range, rows_per_shard, rows);
    std::vector<float> out(local.nodes.size() * size, 777.0f);
    run(range, local.tree, out.data());
    for (size_t node = 0; node < local.nodes.size(); ++node) {
      nodes.push_back(local.nodes[node]);
      sums.emplace_back(out.begin() + node * size, out.begin() + (node + 1) * size);
    }
  }
  const TreeSchedule schedule = ScheduleFor(Root(shards), shards, nodes);
  for (const TreeAdd& add : schedule.adds) {
    for (size_t i = 0; i < size; ++i) sums[add.target][i] += sums[add.source][i];
  }
  return sums[schedule.result];
}

}  // namespace lockstep::kernels
