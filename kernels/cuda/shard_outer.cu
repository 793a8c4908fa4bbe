#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/shard_outer.h"
#include "kernels/cuda/shard_product.h"

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

}  // namespace

int64_t ShardOuterScratch(int64_t m, int64_t n, int shards) { return ShardProductScratch(m, n, shards); }

Launched ShardOuterProduct(const DeviceTree& tree, const OuterProduct& product, float* scratch,
                           Stream stream) {
  return SumShardProducts("ShardOuterProduct", tree, OperandOf(product.a, product.lda, product.m, false),
                          OperandOf(product.b, product.ldb, product.n, false), product.out,
                          product.node_stride, scratch, stream);
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
