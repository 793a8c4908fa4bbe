// The sums of kernels/shard_outer.h for whatever a shard's leaf is: leaves in registers, the tree's open
// subtrees on a stack.
#pragma once

#include "kernels/cpu/vector.h"
#include "kernels/shard_outer.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// leaf(shard, sum) fills kCount vectors with the leaf of a local shard; store(node, sum) takes a node's sum.
template <int kCount, class Leaf, class Put>
inline void SumOverTree(const ShardTree& tree, const Leaf& leaf, const Put& store) {
  Vector stack[kMaxTreeDepth][kCount];
  int shard = 0;
  for (int node = 0; node < tree.nodes; ++node) {
    int depth = 0;
    for (unsigned ordinal = 1; shard < tree.node_end[node]; ++shard, ++ordinal) {
      Vector sum[kCount];
      leaf(shard, sum);
      for (unsigned count = ordinal; count % 2 == 0; count /= 2) {
        --depth;
        for (int i = 0; i < kCount; ++i) sum[i] = Add(stack[depth][i], sum[i]);
      }
      for (int i = 0; i < kCount; ++i) stack[depth][i] = sum[i];
      ++depth;
    }
    for (; depth > 1; --depth) {
      for (int i = 0; i < kCount; ++i) stack[depth - 2][i] = Add(stack[depth - 2][i], stack[depth - 1][i]);
    }
    store(node, stack[0]);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
