#include "kernels/embedding.h"

#include <string.h>

#include "kernels/cpu/tree_sum.h"
#include "kernels/cpu/variants.h"
#include "kernels/cpu/vector_math.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void EmbeddingForward(int64_t rows, int64_t steps, int64_t width, const int32_t* tokens, const float* table,
                      const float* positions, float* __restrict y) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t t = 0; t < steps; ++t, ++tokens, y += width) {
      const float* row = table + *tokens * width;
      if (positions == nullptr) {
        memcpy(y, row, static_cast<size_t>(width) * sizeof(float));
        continue;
      }
      const float* position = positions + t * width;
      for (int64_t c = 0; c < width; ++c) y[c] = row[c] + position[c];
    }
  }
}

namespace {

// Stable radix sort of `count` places by token, a byte at a time, from the lowest. Returns which of the two
// buffers holds the result.
int32_t* SortByToken(int64_t count, const int32_t* tokens, int32_t* from, int32_t* to) {
  uint32_t all = 0;
  for (int64_t i = 0; i < count; ++i) all |= static_cast<uint32_t>(tokens[from[i]]);
  for (int shift = 0; shift < 32 && all >> shift != 0; shift += 8) {
    const auto digit = [tokens, shift](int32_t place) {
      return static_cast<uint32_t>(tokens[place]) >> shift & 0xffu;
    };
    int64_t next[256] = {};
    for (int64_t i = 0; i < count; ++i) ++next[digit(from[i])];
    for (int64_t d = 0, sum = 0; d < 256; ++d) {
      const int64_t places = next[d];
      next[d] = sum;
      sum += places;
    }
    for (int64_t i = 0; i < count; ++i) to[next[digit(from[i])]++] = from[i];
    int32_t* swap = from;
    from = to;
    to = swap;
  }
  return from;
}

}  // namespace

void OrderByToken(const ShardTree& tree, int begin, int end, const int32_t* tokens, int32_t* scratch,
                  int32_t* order) {
  for (int s = begin; s < end; ++s) {
    const int64_t first = tree.first(s), count = tree.count(s);
    for (int64_t i = 0; i < count; ++i) order[first + i] = static_cast<int32_t>(first + i);
    const int32_t* sorted = SortByToken(count, tokens, order + first, scratch + first);
    if (sorted != order + first) memcpy(order + first, sorted, static_cast<size_t>(count) * sizeof(int32_t));
  }
}

void BucketTokens(const ShardTree& tree, const int32_t* tokens, int32_t* scratch, TokenBuckets& buckets) {
  int64_t places = 0;
  for (int s = 0; s < tree.shards(); ++s) {
    for (int64_t i = 0; i < tree.count(s); ++i) scratch[places++] = static_cast<int32_t>(tree.first(s) + i);
  }
  const int32_t* sorted = SortByToken(places, tokens, scratch, scratch + places);
  buckets.count = 0;
  for (int64_t i = 0; i < places; ++i) {
    buckets.place[i] = sorted[i];
    const int32_t token = tokens[sorted[i]];
    if (i > 0 && token == buckets.token[buckets.count - 1]) continue;
    buckets.begin[buckets.count] = static_cast<int32_t>(i);
    buckets.token[buckets.count++] = token;
  }
  buckets.begin[buckets.count] = static_cast<int32_t>(places);
}

void EmbeddingBackward(const ShardTree& tree, const TokenBuckets& buckets, int64_t begin, int64_t end,
                       int64_t width, const float* dy, float* dtable, int64_t node_stride) {
  constexpr int kVectors = 4;
  for (int64_t bucket = begin; bucket < end; ++bucket) {
    const int32_t* const last = buckets.place + buckets.begin[bucket + 1];
    float* const row = dtable + buckets.token[bucket] * width;
    for (int64_t c = 0; c < width; c += kVectors * kLanes) {
      const int64_t left = width - c;
      const int32_t* place = buckets.place + buckets.begin[bucket];
      SumOverTree<kVectors>(
          tree,
          [&](int shard, Vector* sum) {
            for (int v = 0; v < kVectors; ++v) sum[v] = Splat(0.0f);
            const int64_t shard_end = tree.first(shard + 1);
            for (; place != last && *place < shard_end; ++place) {
              const float* from = dy + *place * width + c;
              for (int v = 0; v < kVectors && v * kLanes < left; ++v) {
                sum[v] = Add(sum[v], LoadUpTo(from + v * kLanes, left - v * kLanes));
              }
            }
          },
          [=](int node, const Vector* sum) {
            for (int v = 0; v < kVectors && v * kLanes < left; ++v) {
              StoreUpTo(row + node * node_stride + c + v * kLanes, sum[v], left - v * kLanes);
            }
          });
    }
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
