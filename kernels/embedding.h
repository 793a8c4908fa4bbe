// Rows of a table by token, plus a row for the position; and the table's gradient without a buffer of the
// table's size for each shard.
//
//   y[r][t] = table[tokens[r][t]] + positions[t]
//   leaf_s[v] = sum over the places (r, t) of shard s that hold token v, in order, of dy[r][t]
//   dtable_n[v] = the leaves of node n, added in the tree's order (kernels/shard_outer.h); zero where v
//   occurs nowhere
//
// Shapes: tokens (rows, steps); table (vocabulary, width); positions (steps, width), may be null; y, dy
// (rows, steps, width), dense. REQUIRES: 0 <= token < vocabulary. The positions' gradient is ShardColumnSum
// over steps * width columns.
//
// Backward has three steps: BucketTokens sorts the places by token (stably, so that a bucket's places
// ascend), on one thread; the caller clears the table's gradient; EmbeddingBackward sums any range of the
// buckets. A table that is also the output layer's weight gets its gradient from ShardOuterProduct instead,
// with OrderByToken's order (LeafRows).
#pragma once

#include <cstdint>

#include "kernels/shard_outer.h"

namespace lockstep::kernels {

// Places of a batch by token: bucket i is token token[i] at place[begin[i]] ... place[begin[i + 1] - 1].
struct TokenBuckets {
  int32_t* place = nullptr;  // (places)
  int32_t* begin = nullptr;  // (places + 1)
  int32_t* token = nullptr;  // (places)
  int64_t count = 0;         // buckets
};
// int32s of scratch that BucketTokens needs.
inline int64_t BucketScratch(int64_t places) { return 2 * places; }

namespace cpu {
void EmbeddingForward(int64_t rows, int64_t steps, int64_t width, const int32_t* tokens, const float* table,
                      const float* positions, float* y);

// Buckets of the real places of the tree's shards. The tree's rows are places (steps for each sample); a
// place is its index in `tokens`. Sets buckets.count.
void BucketTokens(const ShardTree& tree, const int32_t* tokens, int32_t* scratch, TokenBuckets& buckets);

// The real places of shards [begin, end), each shard's sorted by (token, place), from
// order[tree.first(shard)] on. scratch and order hold tree.first(tree.shards()) places.
void OrderByToken(const ShardTree& tree, int begin, int end, const int32_t* tokens, int32_t* scratch,
                  int32_t* order);

// Overwrites the rows of buckets [begin, end) in each node: dtable + node * node_stride is (vocabulary,
// width).
void EmbeddingBackward(const ShardTree& tree, const TokenBuckets& buckets, int64_t begin, int64_t end,
                       int64_t width, const float* dy, float* dtable, int64_t node_stride);
}  // namespace cpu

}  // namespace lockstep::kernels
