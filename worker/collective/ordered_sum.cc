#include "worker/collective/ordered_sum.h"

#include <algorithm>
#include <cstring>

namespace lockstep {
namespace {

void Add(float* __restrict__ target, const float* __restrict__ source, size_t n) {
  for (size_t i = 0; i < n; ++i) target[i] += source[i];
}
// `out` may be either of them.
void AddTo(float* out, const float* left, const float* right, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = left[i] + right[i];
}

}  // namespace

OrderedSumPlan PlanOrderedSum(int shards, int world) {
  OrderedSumPlan plan;
  std::vector<TreeNode> leaves;
  for (int rank = 0; rank < world; ++rank) {
    plan.first_row.push_back(static_cast<int>(leaves.size()));
    const std::vector<TreeNode> nodes = MaximalNodes(shards, ShardsOfRank(shards, world, rank));
    plan.max_rows = std::max(plan.max_rows, static_cast<int>(nodes.size()));
    leaves.insert(leaves.end(), nodes.begin(), nodes.end());
  }
  plan.first_row.push_back(static_cast<int>(leaves.size()));
  plan.schedule = ScheduleFor(Root(shards), shards, leaves);
  return plan;
}

void AddInTreeOrder(const TreeSchedule& schedule, const std::vector<float*>& rows, float* out, size_t n) {
  if (schedule.adds.empty()) {
    if (n > 0) std::memmove(out, rows[schedule.result], n * sizeof(float));
    return;
  }
  for (size_t i = 0; i + 1 < schedule.adds.size(); ++i) {
    Add(rows[schedule.adds[i].target], rows[schedule.adds[i].source], n);
  }
  // The last addition is the root's: straight to where it belongs.
  AddTo(out, rows[schedule.adds.back().target], rows[schedule.adds.back().source], n);
}

}  // namespace lockstep
