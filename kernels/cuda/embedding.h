// Embedding on a GPU: kernels/embedding.h says what is computed. Places are sorted by token on the host
// (cpu::BucketTokens), from where tokens come anyway; the buckets' arrays are then copied to the device. On
// an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/shard_tree.h"
#include "kernels/cuda/stream.h"
#include "kernels/embedding.h"

namespace lockstep::kernels::cuda {

// positions may be null.
Launched EmbeddingForward(int64_t rows, int64_t steps, int64_t width, const int32_t* tokens,
                          const float* table, const float* positions, float* y, Stream stream);

// Overwrites the rows of all buckets in each node; an empty bucket has none, and its token is not read. A
// leaf is eight interleaved chains over the shard's places of the token, then these in order: its bits depend
// on the shard alone.
Launched EmbeddingBackward(const DeviceTree& tree, const TokenBuckets& buckets, int64_t width,
                           const float* dy, float* dtable, int64_t node_stride, Stream stream);

}  // namespace lockstep::kernels::cuda
