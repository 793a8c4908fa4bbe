// Layer norm and RMS norm over the last dimension, with their gradients.
//
//   layer norm (Ba et al. 2016)           mean = sum x / width, rstd = 1 / sqrt(sum (x - mean)^2 / width +
//   epsilon)
//     xhat = (x - mean) rstd              y = xhat gamma + beta
//   RMS norm (Zhang & Sennrich 2019)      rstd = 1 / sqrt(sum x^2 / width + epsilon)
//     xhat = x rstd                       y = xhat gamma
//   backward, g = dy gamma                dx = rstd (g - [mean of g, layer norm only] - xhat mean of (g
//   xhat))
//                                         dgamma = sum over rows of dy xhat,  dbeta = sum over rows of dy
//
// Shapes: x, y, dy, dx (rows, width), dense; gamma, beta (width); mean, rstd (rows), which forward saves for
// backward. A row is normalised by one thread in a fixed order of lanes, so that its bits depend on the row
// alone; any range of rows may be given by moving the pointers. The parameters' gradients are leaves and tree
// of kernels/shard_outer.h, element by element, so that any range of columns may be computed apart.
#pragma once

#include <cstdint>

#include "kernels/shard_outer.h"

namespace lockstep::kernels::cpu {

// beta may be null: none.
void LayerNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* beta,
                      const float* x, float* y, float* mean, float* rstd);
// dx may be dy. `add`: dx += instead of dx =, which needs dx apart from dy.
void LayerNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* mean,
                       const float* rstd, const float* dy, bool add, float* dx);
void RmsNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* x, float* y,
                    float* rstd);
void RmsNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* rstd,
                     const float* dy, bool add, float* dx);

// Columns [begin, end) of dgamma and dbeta of each node: dgamma + node * node_stride is (width). The tree's
// rows are rows of x. `mean` is null for RMS norm, dbeta null where there is no beta.
void NormParameterGradients(const ShardTree& tree, int64_t width, int64_t begin, int64_t end, const float* x,
                            const float* mean, const float* rstd, const float* dy, float* dgamma,
                            float* dbeta, int64_t node_stride);

}  // namespace lockstep::kernels::cpu
