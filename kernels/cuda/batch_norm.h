// Batch normalisation of one logical shard on a GPU: kernels/batch_norm.h says what is computed. Blocks of 32
// pixels are merged in eight interleaved chains, then these in order, so that bits depend on the shard's
// pixels alone. On an error nothing, or not all, was queued.
#pragma once

#include <cstdint>

#include "kernels/batch_norm.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

// Floats of scratch of BatchNormStatistics and BatchNormSums.
int64_t BatchNormScratch(int64_t pixels, int64_t channels);

// Zeros where there are no pixels.
Launched BatchNormStatistics(int64_t pixels, int64_t channels, const float* x, float* mean, float* variance,
                             float* scratch, Stream stream);
Launched BatchNormInverse(int64_t channels, float epsilon, const float* variance, float* inverse,
                          Stream stream);
// `residual` may be null. y may be x.
Launched BatchNormForward(int64_t pixels, int64_t channels, const BatchNormFactors& factors, const float* x,
                          const float* residual, bool relu, float* y, Stream stream);
// y, relu and dy as on the CPU: with y, dy is overwritten with g.
Launched BatchNormSums(int64_t pixels, int64_t channels, const BatchNormFactors& factors, const float* x,
                       const float* y, bool relu, float* dy, float* dgamma, float* dbeta, float* scratch,
                       Stream stream);
// `count` is N; `pixels` of them are computed here. dx may be dy.
Launched BatchNormInputGradient(int64_t count, int64_t pixels, int64_t channels,
                                const BatchNormFactors& factors, const float* dgamma, const float* dbeta,
                                const float* x, bool relu, const float* dy, bool add, float* dx,
                                Stream stream);

}  // namespace lockstep::kernels::cuda
