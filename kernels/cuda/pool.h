// Pooling on a GPU: kernels/pool.h says what is computed, here for `rows` images. The backward passes gather:
// a pixel adds what its windows send it, in row-major order, without atomics. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/pool.h"

namespace lockstep::kernels::cuda {

// `winner` may be null when there will be no backward pass.
Launched MaxPoolForward(const PoolShape& shape, int64_t rows, const float* x, float* y, uint8_t* winner,
                        Stream stream);
// Backward passes write dx, or with `add` add to what is there.
Launched MaxPoolBackward(const PoolShape& shape, int64_t rows, const float* dy, const uint8_t* winner,
                         bool add, float* dx, Stream stream);
Launched AveragePoolForward(const PoolShape& shape, int64_t rows, const float* x, float* y, Stream stream);
Launched AveragePoolBackward(const PoolShape& shape, int64_t rows, const float* dy, bool add, float* dx,
                             Stream stream);
// `pixels` is height * width.
Launched GlobalAveragePoolForward(int64_t pixels, int64_t channels, int64_t rows, const float* x, float* y,
                                  Stream stream);
Launched GlobalAveragePoolBackward(int64_t pixels, int64_t channels, int64_t rows, const float* dy, bool add,
                                   float* dx, Stream stream);

}  // namespace lockstep::kernels::cuda
