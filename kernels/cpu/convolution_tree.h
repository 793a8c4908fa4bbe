// The reduction tree over sums that are computed shard by shard, in a thread's own memory.
#pragma once

#include "kernels/cpu/convolution_block.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

void AddInto(int64_t count, const float* right, float* left) {
  for (int64_t i = 0; i < count; i += kLanes) Store(left + i, Add(Load(left + i), Load(right + i)));
}

int64_t Depth(int64_t shards) {
  int64_t depth = 1;
  for (; shards > 0; shards /= 2) ++depth;
  return depth;
}

// leaf(shard, sums) writes a shard's `size` floats; node(number, sums) takes a node's. `stack` holds
// Depth(shards) times `size`: the open subtrees. `size` is a multiple of the vector.
template <typename Leaf, typename Node>
inline __attribute__((always_inline)) void SumTree(const ShardTree& tree, int64_t size, float* stack,
                                                   Leaf leaf, Node node) {
  int shard = 0;
  for (int number = 0; number < tree.nodes; ++number) {
    int depth = 0;
    for (unsigned leaves = 1; shard < tree.node_end[number]; ++shard, ++leaves) {
      leaf(shard, stack + depth * size);
      ++depth;
      for (unsigned count = leaves; count % 2 == 0; count /= 2, --depth) {
        AddInto(size, stack + (depth - 1) * size, stack + (depth - 2) * size);
      }
    }
    for (; depth > 1; --depth) AddInto(size, stack + (depth - 1) * size, stack + (depth - 2) * size);
    node(number, stack);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
