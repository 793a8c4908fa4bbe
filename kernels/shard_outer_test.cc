#include "kernels/shard_outer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "common/numerics/reduction_tree.h"
#include "kernels/gemm.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::shard_outer_test {
namespace {

struct Case {
  int shards, rows_per_shard, m, n;
  GemmType type = GemmType::kFp32;
};

// As the product reads it.
float Operand(GemmType type, float x) { return type == GemmType::kBf16 ? RoundedToBf16(x) : x; }

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
  void SetUp() override {
    if (GetParam().type == GemmType::kBf16 && !cpu::HasBf16())
      GTEST_SKIP() << "this processor has no AVX512_BF16";
  }
  ShardOuterTest() : rows(GetParam().shards, GetParam().rows_per_shard) {
    const Case& c = GetParam();
    if (c.shards > 1) rows[c.shards - 1] = 0;  // a partial batch
    if (c.shards > 2) rows[c.shards - 2] = c.rows_per_shard / 2;
    a = Random(int64_t{c.shards} * c.rows_per_shard * c.m, -1, 1, 1);
    b = Random(int64_t{c.shards} * c.rows_per_shard * c.n, -1, 1, 2);
  }
  // In two parts, as two threads would.
  void Multiply(const ShardTree& tree, const float* left, const float* right, float* out,
                int64_t stride) const {
    const Case& c = GetParam();
    std::vector<float> scratch(OuterProductScratch(int64_t{c.shards} * c.rows_per_shard));
    OuterProduct product = {c.m, c.n, left, c.m, right, c.n, out, stride, 0, c.m / 3, 0, c.n, {}};
    cpu::ShardOuterProduct(c.type, tree, product, scratch.data());
    product.row_begin = c.m / 3;
    product.row_end = c.m;
    cpu::ShardOuterProduct(c.type, tree, product, scratch.data());
  }
  std::vector<float> Whole() const {
    const Case& c = GetParam();
    const Local all(c, {0, c.shards}, rows);
    std::vector<float> out(c.m * c.n, NAN);
    Multiply(all.tree, a.data(), b.data(), out.data(), 0);
    return out;
  }
  std::vector<int> rows;
  std::vector<float> a, b;
};
INSTANTIATE_TEST_SUITE_P(
    Shapes, ShardOuterTest,
    testing::Values(Case{8, 8, 128, 64}, Case{8, 8, 10, 64}, Case{5, 7, 9, 13}, Case{7, 3, 5, 33},
                    Case{13, 4, 6, 100}, Case{1, 64, 17, 79}, Case{2, 1, 1, 1}, Case{16, 2, 3, 16},
                    Case{8, 8, 128, 64, GemmType::kBf16}, Case{5, 7, 9, 13, GemmType::kBf16},
                    Case{4, 64, 130, 70, GemmType::kBf16}, Case{5, 33, 31, 97, GemmType::kBf16},
                    Case{3, 45, 100, 600, GemmType::kBf16}, Case{6, 3, 40, 33, GemmType::kBf16},
                    Case{7, 3, 40, 33, GemmType::kBf16}, Case{13, 4, 33, 64, GemmType::kBf16},
                    Case{16, 2, 3, 16, GemmType::kBf16}));

TEST_P(ShardOuterTest, DiffersFromFloat64) {
  const Case& c = GetParam();
  const std::vector<float> out = Whole();
  for (int i = 0; i < c.m; ++i) {
    for (int j = 0; j < c.n; ++j) {
      double expected = 0;
      for (int s = 0; s < c.shards; ++s) {
        for (int r = s * c.rows_per_shard; r < s * c.rows_per_shard + rows[s]; ++r) {
          expected += double{Operand(c.type, a[r * c.m + i])} * Operand(c.type, b[r * c.n + j]);
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
      Multiply(local.tree, a.data() + first * c.m, b.data() + first * c.n, out.data(), c.m * c.n);
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

// A result that no cache keeps is written past them where it consists of whole lines.
TEST(LargeShardOuterTest, HaveTheSameBitsOnAndOffALinesEdge) {
  for (const GemmType type : {GemmType::kFp32, GemmType::kBf16}) {
    if (type == GemmType::kBf16 && !cpu::HasBf16()) continue;
    for (const int shards : {1, 2, 3, 4, 5, 8, 11}) {
      const int m = 517, n = 528, rows_per_shard = 2;
      const Case c{shards, rows_per_shard, m, n, type};
      const Local all(c, {0, shards}, std::vector<int>(shards, rows_per_shard));
      const std::vector<float> a = Random(int64_t{shards} * rows_per_shard * m, -1, 1, 1),
                               b = Random(int64_t{shards} * rows_per_shard * n, -1, 1, 2);
      std::vector<float> scratch(OuterProductScratch(shards * rows_per_shard)), memory(m * n + 32, NAN);
      float* const edge = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) / 4;
      std::vector<float> results[2];
      for (const int offset : {0, 5}) {
        float* const out = edge + offset;
        const OuterProduct product = {m, n, a.data(), m, b.data(), n, out, 0, 0, m, 0, n, {}};
        cpu::ShardOuterProduct(type, all.tree, product, scratch.data());
        results[offset != 0].assign(out, out + m * n);
        std::fill(out, out + m * n, NAN);
      }
      EXPECT_EQ(results[0], results[1]) << shards << " shards";
    }
  }
}

TEST_P(ShardOuterTest, ColumnSumDiffersFromFloat64) {
  const Case& c = GetParam();
  const Local all(c, {0, c.shards}, rows);
  std::vector<float> out(c.n, NAN);
  cpu::ShardColumnSum(all.tree, 0, c.n, b.data(), c.n, out.data(), 0);
  for (int j = 0; j < c.n; ++j) {
    double expected = 0;
    for (int s = 0; s < c.shards; ++s) {
      for (int r = s * c.rows_per_shard; r < s * c.rows_per_shard + rows[s]; ++r) expected += b[r * c.n + j];
    }
    EXPECT_NEAR(out[j], expected, 1e-5);
  }
}

// The sparse rows that a tied embedding adds: to each leaf, after its products.
void CheckLeafRows(GemmType type, int positions) {
  const std::vector<int> rows = {3, 2}, ends = {2};
  const ShardTree tree = {3, rows.data(), 1, ends.data(), positions};
  const int m = 41, n = 19, all = 6 * positions;
  const std::vector<float> a = Random(all * m, -1, 1, 1), b = Random(all * n, -1, 1, 2),
                           values = Random(all * n, -1, 1, 3);
  const std::vector<int32_t> some = {40, 0, 40, 13, 13, 7};
  std::vector<int32_t> tokens, order;
  for (int r = 0; r < all; ++r) {
    tokens.push_back(some[r % some.size()]);
    order.push_back(r);
  }
  for (const auto& begin : {order.begin(), order.begin() + 3 * positions}) {
    std::stable_sort(begin, begin + 3 * positions,
                     [&](int left, int right) { return tokens[left] < tokens[right]; });
  }
  // Only real rows are in a shard's order.
  std::vector<int32_t> real = order;
  std::copy_if(order.begin() + 3 * positions, order.end(), real.begin() + 3 * positions,
               [&](int r) { return r < 5 * positions; });
  std::vector<float> out(m * n), scratch(OuterProductScratch(all));
  OuterProduct product = {m, n, a.data(), m, b.data(), n, out.data(), 0, 0, m, 0, n, {}};
  product.add = {tokens.data(), real.data(), values.data(), n};
  cpu::ShardOuterProduct(type, tree, product, scratch.data());
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double expected = 0;
      for (int r = 0; r < 5 * positions; ++r) {
        expected += double{Operand(type, a[r * m + i])} * Operand(type, b[r * n + j]);
        if (tokens[r] == i) expected += values[r * n + j];
      }
      ASSERT_NEAR(out[i * n + j], expected, 1e-5 * positions) << i << ", " << j;
    }
  }
}

TEST(ShardOuter, LeafRowIsAddedToAnotherRow) {
  CheckLeafRows(GemmType::kFp32, 1);
  CheckLeafRows(GemmType::kFp32, 12);
}

TEST(ShardOuter, Bf16LeafRowIsAddedToAnotherRow) {
  if (!cpu::HasBf16()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  CheckLeafRows(GemmType::kBf16, 1);
  CheckLeafRows(GemmType::kBf16, 12);
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
}  // namespace lockstep::kernels::shard_outer_test
