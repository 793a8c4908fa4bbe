// A hash of floats' bits on a GPU: the sum, in 64 bits, of a bijection of each float's bits and index. Sums
// of integers have no order, so it is the same on every device; a change of one float alone always changes
// it.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

inline constexpr int kHashPartials = 1024;
inline constexpr uint64_t kHashChain = 0x9e3779b97f4a7c15u;

// *hash = *hash * kHashChain + the hash of x (count). `partials`, scratch: (kHashPartials).
Launched ChainHash(int64_t count, const float* x, uint64_t* partials, uint64_t* hash, Stream stream);

}  // namespace lockstep::kernels::cuda
