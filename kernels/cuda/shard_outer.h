// Gradients of weights and biases on a GPU: kernels/shard_outer.h says what is computed. A product's elements
// have the bits of a processor with fused multiply-adds in fp32, in bf16 those of kernels/cuda/gemm.h. On an
// error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/shard_tree.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

// Floats of scratch; `shards` are local ones.
int64_t ShardOuterScratch(int64_t m, int64_t n, int shards);
// All of (m, n): the part that `product` may name is not looked at. Its rows are device memory.
Launched ShardOuterProduct(GemmType type, const DeviceTree& tree, const OuterProduct& product, float* scratch,
                           Stream stream);

// c (m, n) = a^T b over `rows` rows, all dense: a leaf of the same bits.
Launched OuterLeaf(GemmType type, int64_t rows, int64_t m, int64_t n, const float* a, const float* b,
                   float* c, Stream stream);

int64_t ColumnScratch(const DeviceTree& tree, int64_t columns);  // floats
Launched ShardColumnSum(const DeviceTree& tree, int64_t columns, const float* b, int64_t ldb, float* out,
                        int64_t node_stride, float* scratch, Stream stream);

}  // namespace lockstep::kernels::cuda
