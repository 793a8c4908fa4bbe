// The arithmetic of Collective::OrderedSum, apart from how the rows travel: which rank holds which nodes of
// the reduction tree, and the additions from all of them to the root.
#pragma once

#include <cstddef>
#include <vector>

#include "common/numerics/reduction_tree.h"

namespace lockstep {

struct OrderedSumPlan {
  std::vector<int> first_row;  // (world + 1): rank r's nodes are rows [first_row[r], first_row[r + 1])
  int max_rows = 1;            // of one rank
  TreeSchedule schedule;       // over all rows
  int rows(int rank) const { return first_row[rank + 1] - first_row[rank]; }
};

// REQUIRES: 1 <= world <= shards.
OrderedSumPlan PlanOrderedSum(int shards, int world);

// Adds `rows` (n floats each) in the plan's order into `out` (n); the rows are scratch afterwards. The
// caller's thread decides about denormals, as for every kernel.
void AddInTreeOrder(const TreeSchedule& schedule, const std::vector<float*>& rows, float* out, size_t n);

}  // namespace lockstep
