// One addition of the reduction tree over whole buffers: target[i] += source[i], in float. The order of the
// additions is the tree's (common/numerics/reduction_tree.h); this does one of them. The buffers do not
// overlap.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

namespace cpu {
void TreeAddInto(int64_t count, const float* source, float* target);
}  // namespace cpu

}  // namespace lockstep::kernels
