#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/product.h"
#include "kernels/cuda/shard_outer.h"
#include "kernels/cuda/shard_product.h"
#include "kernels/cuda/tensor_tile.h"

namespace lockstep::kernels::cuda {
namespace {

struct BiasTerm {
  static constexpr int kSums = 1;
  const float* b;
  int64_t ldb;
  template <int kCount>
  __device__ void operator()(int64_t row, int64_t column, Pack<kCount>* sums) const {
    const auto values = Load<kCount>(b + row * ldb + column);
    for (int k = 0; k < kCount; ++k) sums[0][k] += values[k];
  }
};

// LeafRows: a thread finds the places of each row of its squares among the shard's, which are sorted.
struct AddedLeafRows {
  LeafRows rows;
  bool aligned;

  template <class Tile>
  __device__ void AddTo(Tile& tile, const DeviceTree& tree, int shard) const {
    const int64_t first = tree.first(shard), end = first + tree.count(shard);
    int64_t found = -1, begin = 0;
    tile.ForElements([&](int64_t row, int64_t column, int count, Pack<4>& leaf) {
      if (row != found) begin = FirstOf(row, first, end);
      found = row;
      for (int64_t i = begin; i < end && rows.tokens[rows.order[i]] == row; ++i) {
        const auto more = LoadSome(rows.values + rows.order[i] * rows.ld + column, count, aligned);
        for (int k = 0; k < 4; ++k) leaf[k] += more[k];
      }
    });
  }

 private:
  // The first of the places [begin, end) that holds `token` or a larger one.
  __device__ int64_t FirstOf(int64_t token, int64_t begin, int64_t end) const {
    while (begin < end) {
      const int64_t middle = begin + (end - begin) / 2;
      if (rows.tokens[rows.order[middle]] < token) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin;
  }
};

}  // namespace

int64_t ShardOuterScratch(int64_t m, int64_t n, int shards) { return ShardProductScratch(m, n, shards); }

Launched ShardOuterProduct(GemmType type, const DeviceTree& tree, const OuterProduct& product, float* scratch,
                           Stream stream) {
  const auto sum = [&](const auto& rows) {
    using Rows = std::decay_t<decltype(rows)>;
    const auto products = type == GemmType::kBf16 ? SumShardProducts<TensorTile, Operand, Operand, Rows>
                                                  : SumShardProducts<ProductTile, Operand, Operand, Rows>;
    return products("ShardOuterProduct", tree, OperandOf(product.a, product.lda, product.m, false),
                    OperandOf(product.b, product.ldb, product.n, false), rows, product.out,
                    product.node_stride, scratch, stream);
  };
  if (product.add.tokens == nullptr) return sum(NoLeafRows());
  return sum(AddedLeafRows{product.add, FourAtATime(product.add.values) && product.add.ld % 4 == 0});
}

Launched OuterLeaf(GemmType type, int64_t rows, int64_t m, int64_t n, const float* a, const float* b,
                   float* c, Stream stream) {
  const auto multiply = type == GemmType::kBf16 ? MultiplyTiles<TensorTile, Operand, Operand>
                                                : MultiplyTiles<ProductTile, Operand, Operand>;
  return multiply("OuterLeaf", OperandOf(a, m, m, false), OperandOf(b, n, n, false), rows, c, n, false,
                  stream);
}

int64_t ColumnScratch(const DeviceTree& tree, int64_t columns) {
  return ColumnSumScratch(tree, columns, BiasTerm::kSums);
}

Launched ShardColumnSum(const DeviceTree& tree, int64_t columns, const float* b, int64_t ldb, float* out,
                        int64_t node_stride, float* scratch, Stream stream) {
  return SumColumns("ShardColumnSum", tree, columns, FourAtATime(b) && ldb % 4 == 0, BiasTerm{b, ldb},
                    ColumnOutputs<1>{{out}, node_stride}, scratch, stream);
}

}  // namespace lockstep::kernels::cuda
