// The additions of one node of the reduction tree, while its leaves come one after another.
#pragma once

#include "kernels/cuda/pack.h"
#include "kernels/shard_outer.h"

namespace lockstep::kernels::cuda {

// What is complete is added as a binary counter carries (kernels/cpu/tree_sum.h).
template <int kCount>
class OpenSubtrees {
 public:
  __device__ void Push(Pack<kCount> leaf, unsigned ordinal) {  // from 1
    for (; ordinal % 2 == 0; ordinal /= 2) leaf = Sum(sums_[--depth_], leaf);
    sums_[depth_++] = leaf;
  }
  // The node's sum; the next leaf begins another node. REQUIRES: a leaf.
  __device__ Pack<kCount> Take() {
    for (; depth_ > 1; --depth_) sums_[depth_ - 2] = Sum(sums_[depth_ - 2], sums_[depth_ - 1]);
    depth_ = 0;
    return sums_[0];
  }
  __device__ void Drop() { depth_ = 0; }

 private:
  __device__ static Pack<kCount> Sum(Pack<kCount> a, const Pack<kCount>& b) {
    for (int k = 0; k < kCount; ++k) a[k] += b[k];
    return a;
  }
  Pack<kCount> sums_[kMaxTreeDepth];
  int depth_ = 0;
};

}  // namespace lockstep::kernels::cuda
