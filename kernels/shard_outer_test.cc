#include "kernels/shard_outer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/numerics/reduction_tree.h"
#include "kernels/gemm.h"
#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

struct Case {
  int shards, rows_per_shard, m, n;
};

// The local part of a job: its nodes, as ShardTree wants them.
struct Local {
  Local(const Case& c, ShardRange range, const std::vector<int>& all_rows)
      : rows(all_rows.begin() + range.begin, all_rows.begin() + range.end) {
    nodes = MaximalNodes(c.shards, range);
    for (const TreeNode& node : nodes) ends.push_back(Covered(node, c.shards).end - range.begin);
    tree = {c.rows_per_shard, rows.data(), static_cast<int>(ends.size()), ends.data()};
  }
  std::vector<int> rows, ends;
  std::vector<TreeNode> nodes;
  ShardTree tree;
};

class ShardOuterTest : public testing::TestWithParam<Case> {
 protected:
  ShardOuterTest() : rows(GetParam().shards, GetParam().rows_per_shard) {
    const Case& c = GetParam();
    if (c.shards > 1) rows[c.shards - 1] = 0;  // a partial batch
    if (c.shards > 2) rows[c.shards - 2] = c.rows_per_shard / 2;
    a = Random(int64_t{c.shards} * c.rows_per_shard * c.m, -1, 1, 1);
    b = Random(int64_t{c.shards} * c.rows_per_shard * c.n, -1, 1, 2);
  }
  std::vector<float> Whole() const {
    const Case& c = GetParam();
    const Local all(c, {0, c.shards}, rows);
    std::vector<float> out(c.m * c.n, NAN);
    cpu::ShardOuterProduct(all.tree, c.m, c.n, a.data(), c.m, b.data(), c.n, out.data(), 0);
    return out;
  }
  std::vector<int> rows;
  std::vector<float> a, b;
};
INSTANTIATE_TEST_SUITE_P(Shapes, ShardOuterTest,
                         testing::Values(Case{8, 8, 128, 64}, Case{8, 8, 10, 64}, Case{5, 7, 9, 13},
                                         Case{7, 3, 5, 33}, Case{13, 4, 6, 100}, Case{1, 64, 17, 79},
                                         Case{2, 1, 1, 1}, Case{16, 2, 3, 16}));

TEST_P(ShardOuterTest, DiffersFromFloat64) {
  const Case& c = GetParam();
  const std::vector<float> out = Whole();
  for (int i = 0; i < c.m; ++i) {
    for (int j = 0; j < c.n; ++j) {
      double expected = 0;
      for (int s = 0; s < c.shards; ++s) {
        for (int r = s * c.rows_per_shard; r < s * c.rows_per_shard + rows[s]; ++r) {
          expected += double{a[r * c.m + i]} * b[r * c.n + j];
        }
      }
      ASSERT_NEAR(out[i * c.n + j], expected, 1e-5);
    }
  }
}

TEST_P(ShardOuterTest, BitsDependOnThePartition) {
  const Case& c = GetParam();
  const std::vector<float> expected = Whole();
  for (int world = 2; world <= c.shards; ++world) {
    std::vector<TreeNode> nodes;
    std::vector<std::vector<float>> sums;
    for (int rank = 0; rank < world; ++rank) {
      const ShardRange range = ShardsOfRank(c.shards, world, rank);
      const Local local(c, range, rows);
      const int64_t first = int64_t{range.begin} * c.rows_per_shard;
      std::vector<float> out(local.nodes.size() * c.m * c.n);
      cpu::ShardOuterProduct(local.tree, c.m, c.n, a.data() + first * c.m, c.m, b.data() + first * c.n, c.n,
                             out.data(), c.m * c.n);
      for (size_t node = 0; node < local.nodes.size(); ++node) {
        nodes.push_back(local.nodes[node]);
        sums.emplace_back(out.begin() + node * c.m * c.n, out.begin() + (node + 1) * c.m * c.n);
      }
    }
    const TreeSchedule schedule = ScheduleFor(Root(c.shards), c.shards, nodes);
    for (const TreeAdd& add : schedule.adds) {
      for (int i = 0; i < c.m * c.n; ++i) sums[add.target][i] += sums[add.source][i];
    }
    EXPECT_EQ(sums[schedule.result], expected) << world << " ranks";
  }
}

TEST_P(ShardOuterTest, ColumnSumDiffersFromFloat64) {
  const Case& c = GetParam();
  const Local all(c, {0, c.shards}, rows);
  std::vector<float> out(c.n, NAN);
  cpu::ShardColumnSum(all.tree, c.n, b.data(), c.n, out.data(), 0);
  for (int j = 0; j < c.n; ++j) {
    double expected = 0;
    for (int s = 0; s < c.shards; ++s) {
      for (int r = s * c.rows_per_shard; r < s * c.rows_per_shard + rows[s]; ++r) expected += b[r * c.n + j];
    }
    EXPECT_NEAR(out[j], expected, 1e-5);
  }
}

TEST(Gemm, DiffersFromFloat64) {
  cpu::PrepareThread();
  const int shapes[][3] = {{1, 1, 1}, {7, 13, 5}, {64, 10, 64}};
  for (const auto& [m, n, k] : shapes) {
    const std::vector<float> a = Random(m * k, -1, 1, 1), bt = Random(n * k, -1, 1, 2);
    std::vector<float> b(k * n), c(m * n);
    cpu::Transpose(n, k, bt.data(), b.data());
    cpu::Gemm(m, n, k, a.data(), k, b.data(), n, c.data(), n);
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n; ++j) {
        double expected = 0;
        for (int l = 0; l < k; ++l) expected += double{a[i * k + l]} * bt[j * k + l];
        EXPECT_NEAR(c[i * n + j], expected, 1e-5);
      }
    }
  }
}

TEST(Transpose, MovesAnElementToTheWrongPlace) {
  for (const int rows : {1, 3, 4, 15, 16, 17, 37}) {
    for (const int columns : {1, 3, 4, 17, 40}) {
      const std::vector<float> in = Random(rows * columns, -1, 1, 1);
      std::vector<float> out(in.size());
      cpu::Transpose(rows, columns, in.data(), out.data());
      for (int i = 0; i < rows * columns; ++i) ASSERT_EQ(out[i % columns * rows + i / columns], in[i]);
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
