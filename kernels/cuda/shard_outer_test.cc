#include "kernels/cuda/shard_outer.h"

#include <cmath>

#include "kernels/cuda/shard_tree_for_test.h"
#include "kernels/embedding.h"
#include "kernels/shard_tree_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_shard_outer_test {
namespace {

class CudaShardOuter : public CudaTest {};

TEST_F(CudaShardOuter, ColumnSumDiffersFromFloat64OrReadsPadding) {
  for (const int64_t columns : {1, 33, 64}) {
    for (const int64_t extra : {0, 1}) {
      const int per_shard = 40;
      const std::vector<int> real = {40, 33, 0};
      const TreeOnDevice tree(per_shard, 1, real, {2, 3});
      const int64_t ldb = columns + extra;
      std::vector<float> b = Random(3 * per_shard * ldb, -1, 1, 1);
      std::vector<double> expected(2 * columns);
      for (int64_t r = 0; r < 3 * per_shard; ++r) {
        for (int64_t c = 0; c < ldb; ++c) {
          if (r % per_shard >= real[r / per_shard])
            b[r * ldb + c] = NAN;
          else if (c < columns)
            expected[r / per_shard / 2 * columns + c] += b[r * ldb + c];
        }
      }
      const auto out = InAnyOrder([&] {
        const OnDevice<float> in(b), sums(2 * columns), scratch(cuda::ColumnScratch(tree.tree, columns));
        EXPECT_LAUNCHED(cuda::ShardColumnSum(tree.tree, columns, in.get(), ldb, sums.get(), columns,
                                             scratch.get(), nullptr));
        return Outputs{sums.Fetch()};
      });
      ExpectClose(out[0], expected, 1e-5);
    }
  }
}

struct Outer {
  int per_shard;
  int64_t m, n, extra;  // extra: what strides have beyond the width
};
// The last has enough tiles for a block to take all shards, one after another.
constexpr Outer kOuters[] = {{40, 64, 32, 0}, {5, 9, 13, 1}, {17, 70, 3, 0}, {3, 520, 776, 0}};

// What `tree` comes to, on the device.
std::vector<float> OuterSums(const Outer& s, const ShardTree& local, const float* a, const float* b,
                             GemmType type = GemmType::kFp32) {
  const int shards = local.shards();
  const TreeOnDevice tree(s.per_shard, 1, {local.rows, local.rows + shards},
                          {local.node_end, local.node_end + local.nodes});
  const int64_t lda = s.m + s.extra, ldb = s.n + s.extra, rows = int64_t{shards} * s.per_shard;
  const OnDevice<float> left(std::vector<float>(a, a + rows * lda)),
      right(std::vector<float>(b, b + rows * ldb));
  const OnDevice<float> sums(local.nodes * s.m * s.n), scratch(cuda::ShardOuterScratch(s.m, s.n, shards));
  OuterProduct product;
  product.m = s.m, product.n = s.n;
  product.a = left.get(), product.lda = lda, product.b = right.get(), product.ldb = ldb;
  product.out = sums.get(), product.node_stride = s.m * s.n;
  EXPECT_LAUNCHED(cuda::ShardOuterProduct(type, tree.tree, product, scratch.get(), nullptr));
  return sums.Fetch();
}

// The processor's leaves are chains of fused multiply-adds from a shard's first row to its last, too; and its
// tests hold them against float64.
TEST_F(CudaShardOuter, ProductHasOtherBitsThanTheProcessorsOnAnyNumberOfRanks) {
  if (cpu::InstructionSet().find("avx") == std::string::npos) GTEST_SKIP() << "a processor without FMA";
  for (const Outer& s : kOuters) {
    const std::vector<int> rows = {s.per_shard, s.per_shard, s.per_shard - 1, s.per_shard, s.per_shard, 1, 0};
    const int shards = static_cast<int>(rows.size());
    const int64_t lda = s.m + s.extra, ldb = s.n + s.extra;
    std::vector<float> a = Random(shards * s.per_shard * lda, -1, 1, 1),
                       b = Random(shards * s.per_shard * ldb, -1, 1, 2);
    const LocalTree all({0, shards}, s.per_shard, rows);
    std::vector<float> expected(s.m * s.n), scratch(OuterProductScratch(shards * s.per_shard));
    const OuterProduct product{s.m,       s.n, a.data(), lda, b.data(), ldb, expected.data(),
                               s.m * s.n, 0,   s.m,      0,   s.n,      {}};
    cpu::ShardOuterProduct(GemmType::kFp32, all.tree, product, scratch.data());
    for (int shard = 0; shard < shards; ++shard) {  // padding is not read
      for (int r = rows[shard]; r < s.per_shard; ++r) a[(shard * s.per_shard + r) * lda] = NAN;
    }
    for (const int world : {1, 2, 3}) {
      if (s.m > 500 && world == 2) continue;
      const auto sum = SumOverRanks(
          world, s.per_shard, rows, s.m * s.n, [&](ShardRange range, const ShardTree& local, float* out) {
            const int64_t first = range.begin * s.per_shard;
            const auto sums = OuterSums(s, local, a.data() + first * lda, b.data() + first * ldb);
            std::copy(sums.begin(), sums.end(), out);
          });
      EXPECT_EQ(sum, expected) << s.m << "x" << s.n << " on " << world << " ranks";
    }
  }
}

TEST_F(CudaShardOuter, LeafAloneHasOtherBitsThanInATreeOfOne) {
  for (const GemmType type : {GemmType::kFp32, GemmType::kBf16}) {
    for (const Outer& s : kOuters) {
      if (s.extra != 0) continue;
      for (const int rows : {0, 1, s.per_shard}) {
        const std::vector<float> a = Random(s.per_shard * s.m, -1, 1, 1),
                                 b = Random(s.per_shard * s.n, -1, 1, 2);
        const std::vector<int> real = {rows};
        const LocalTree one({0, 1}, s.per_shard, real);
        const OnDevice<float> left(a), right(b), leaf(s.m * s.n);
        EXPECT_LAUNCHED(cuda::OuterLeaf(type, rows, s.m, s.n, left.get(), right.get(), leaf.get(), nullptr));
        EXPECT_EQ(leaf.Fetch(), OuterSums(s, one.tree, a.data(), b.data(), type)) << rows << " rows";
      }
    }
  }
}

TEST_F(CudaShardOuter, ProductInBf16DiffersFromFloat64OrHasOtherBitsOnSomeNumberOfRanks) {
  for (const Outer& s : kOuters) {
    const std::vector<int> rows = {s.per_shard, s.per_shard, s.per_shard - 1, s.per_shard, 1, 0};
    const int shards = static_cast<int>(rows.size());
    const int64_t lda = s.m + s.extra, ldb = s.n + s.extra;
    std::vector<float> a = Random(shards * s.per_shard * lda, -1, 1, 1),
                       b = Random(shards * s.per_shard * ldb, -1, 1, 2);
    std::vector<double> expected(s.m * s.n);
    for (int shard = 0; shard < shards; ++shard) {
      for (int r = 0; r < s.per_shard; ++r) {
        float* const left = &a[(shard * s.per_shard + r) * lda];
        const float* const right = &b[(shard * s.per_shard + r) * ldb];
        if (r >= rows[shard]) {
          left[0] = NAN;  // padding is not read
          continue;
        }
        for (int64_t i = 0; i < s.m; ++i) {
          for (int64_t j = 0; j < s.n; ++j) expected[i * s.n + j] += double{left[i]} * right[j];
        }
      }
    }
    std::vector<float> alone;
    for (const int world : {1, 2, 3}) {
      if (s.m > 500 && world == 2) continue;
      const auto sum = SumOverRanks(
          world, s.per_shard, rows, s.m * s.n, [&](ShardRange range, const ShardTree& local, float* out) {
            const int64_t first = range.begin * s.per_shard;
            const auto sums =
                OuterSums(s, local, a.data() + first * lda, b.data() + first * ldb, GemmType::kBf16);
            std::copy(sums.begin(), sums.end(), out);
          });
      if (world == 1) ExpectClose(alone = sum, expected, 3e-2);
      EXPECT_EQ(sum, alone) << s.m << "x" << s.n << " on " << world << " ranks";
    }
  }
}

// A table that is the output layer's weight: rows are added to leaves by token, as on the processor.
TEST_F(CudaShardOuter, RowsOfTokensAreAddedToOtherLeavesThanTheProcessors) {
  if (cpu::InstructionSet().find("avx") == std::string::npos) GTEST_SKIP() << "a processor without FMA";
  for (const Outer& s : kOuters) {
    const std::vector<int> rows = {s.per_shard, 1, 0, s.per_shard - 1};
    const int shards = static_cast<int>(rows.size());
    const int64_t places = int64_t{shards} * s.per_shard;
    std::vector<float> a = Random(places * s.m, -1, 1, 1), b = Random(places * s.n, -1, 1, 2),
                       values = Random(places * s.n, -1, 1, 3);
    std::vector<int32_t> tokens, order(places, -1), sorting(2 * places);
    for (int64_t i = 0; i < places; ++i)
      tokens.push_back(static_cast<int32_t>(i * i * 3 % std::min<int64_t>(s.m, 7)));
    tokens[0] = static_cast<int32_t>(s.m - 1);
    const LocalTree all({0, shards}, s.per_shard, rows);
    cpu::OrderByToken(all.tree, 0, shards, tokens.data(), sorting.data(), order.data());
    std::vector<float> expected(s.m * s.n), scratch(OuterProductScratch(places));
    OuterProduct product{s.m,       s.n, a.data(), s.m, b.data(), s.n, expected.data(),
                         s.m * s.n, 0,   s.m,      0,   s.n,      {}};
    product.add = {tokens.data(), order.data(), values.data(), s.n};
    cpu::ShardOuterProduct(GemmType::kFp32, all.tree, product, scratch.data());
    const auto out = InAnyOrder([&] {
      const TreeOnDevice tree(s.per_shard, 1, rows, {all.tree.node_end, all.tree.node_end + all.tree.nodes});
      const OnDevice<float> left(a), right(b), of_tokens(values), sums(all.tree.nodes * s.m * s.n),
          room(cuda::ShardOuterScratch(s.m, s.n, shards));
      const OnDevice<int32_t> token(tokens), place(order);
      OuterProduct on_device = product;
      on_device.a = left.get(), on_device.b = right.get(), on_device.out = sums.get();
      on_device.add = {token.get(), place.get(), of_tokens.get(), s.n};
      EXPECT_LAUNCHED(cuda::ShardOuterProduct(GemmType::kFp32, tree.tree, on_device, room.get(), nullptr));
      return Outputs{sums.Fetch()};
    });
    EXPECT_EQ(out[0], expected) << s.m << "x" << s.n;
  }
}

TEST_F(CudaShardOuter, ColumnSumDependsOnHowManyRanksShareTheShards) {
  const int per_shard = 37, columns = 5;
  const std::vector<int> rows = {37, 37, 37, 36, 36, 36, 36, 36};
  const std::vector<float> b = Random(8 * per_shard * columns, -1, 1, 1);
  const auto sum = [&](int world) {
    return SumOverRanks(world, per_shard, rows, columns,
                        [&](ShardRange range, const ShardTree& local, float* out) {
                          const TreeOnDevice tree(per_shard, 1, {local.rows, local.rows + local.shards()},
                                                  {local.node_end, local.node_end + local.nodes});
                          const OnDevice<float> in(
                              std::vector<float>(b.begin() + range.begin * per_shard * columns, b.end())),
                              sums(local.nodes * columns), scratch(cuda::ColumnScratch(tree.tree, columns));
                          EXPECT_LAUNCHED(cuda::ShardColumnSum(tree.tree, columns, in.get(), columns,
                                                               sums.get(), columns, scratch.get(), nullptr));
                          const std::vector<float> result = sums.Fetch();
                          std::copy(result.begin(), result.end(), out);
                        });
  };
  const std::vector<float> alone = sum(1);
  for (const int world : {2, 3, 4, 8}) EXPECT_EQ(sum(world), alone) << world;
}

}  // namespace
}  // namespace lockstep::kernels::cuda_shard_outer_test
