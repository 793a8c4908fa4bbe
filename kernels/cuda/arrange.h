// Additions, copies and permutations on a GPU: kernels/arrange.h says what is computed. On an error nothing
// was queued.
#pragma once

#include <cstdint>

#include "kernels/arrange.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

Launched AddForward(int64_t count, const float* a, const float* b, float* y, Stream stream);
Launched CopyBlocks(int64_t count, int64_t width, const float* in, int64_t in_stride, bool add, float* out,
                    int64_t out_stride, Stream stream);
// out[i * out_stride + c] = 0, c < width
Launched ZeroBlocks(int64_t count, int64_t width, float* out, int64_t out_stride, Stream stream);
Launched Permute(const Permutation& permutation, int64_t rows, const float* in, bool add, float* out,
                 Stream stream);

}  // namespace lockstep::kernels::cuda
