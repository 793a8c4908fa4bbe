// Layer norm and RMS norm on a GPU: kernels/norm.h says what is computed. A row's sums run in an order that
// depends on the width alone. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/shard_tree.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

// beta may be null: none.
Launched LayerNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* beta,
                          const float* x, float* y, float* mean, float* rstd, Stream stream);
// dx may be dy. `add`: dx += instead of dx =, which needs dx apart from dy.
Launched LayerNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* mean,
                           const float* rstd, const float* dy, bool add, float* dx, Stream stream);
Launched RmsNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* x,
                        float* y, float* rstd, Stream stream);
Launched RmsNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* rstd,
                         const float* dy, bool add, float* dx, Stream stream);

// dgamma and dbeta of each node: dgamma + node * node_stride is (width). `mean` is null for RMS norm, dbeta
// null where there is no beta. `scratch`: NormScratch floats.
int64_t NormScratch(const DeviceTree& tree, int64_t width);
Launched NormParameterGradients(const DeviceTree& tree, int64_t width, const float* x, const float* mean,
                                const float* rstd, const float* dy, float* dgamma, float* dbeta,
                                int64_t node_stride, float* scratch, Stream stream);

}  // namespace lockstep::kernels::cuda
