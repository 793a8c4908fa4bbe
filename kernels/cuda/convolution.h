// Convolution on a GPU: kernels/convolution.h says what is computed; bias and activation are
// kernels/cuda/activation.h's, the bias's gradient is ShardColumnSum's. Products of matrices that are never
// written: a block reads the pixels that its tile needs (implicit GEMM). Each element is one chain, as
// kernels/cuda/gemm.h has them of either type, so that a row's bits are its own and a weight's are its
// shards'. On an error nothing, or not all, was queued.
//
// REQUIRES: rows * pixels of an image < 2^31.
#pragma once

#include <cstdint>

#include "kernels/convolution.h"
#include "kernels/cuda/shard_tree.h"
#include "kernels/cuda/stream.h"
#include "kernels/gemm.h"

namespace lockstep::kernels::cuda {

// Floats of the weights in the order in which a direction reads them, dense along what comes in.
int64_t ConvolutionPackedSize(const ConvolutionShape& shape);
Launched ConvolutionPack(const ConvolutionShape& shape, bool backward, const float* weights, float* packed,
                         Stream stream);

// y, without bias. `packed` is ConvolutionPack's, forward.
Launched ConvolutionForward(GemmType type, const ConvolutionShape& shape, int64_t rows, const float* x,
                            const float* packed, float* y, Stream stream);
// `packed` is ConvolutionPack's, backward.
Launched ConvolutionInputGradient(GemmType type, const ConvolutionShape& shape, int64_t rows, const float* dy,
                                  const float* packed, bool add, float* dx, Stream stream);

// Floats; `shards` are local ones.
int64_t ConvolutionWeightScratch(const ConvolutionShape& shape, int shards, int nodes);
// `tree` counts samples; node n's sums are written to dw + n * node_stride.
Launched ConvolutionWeightGradient(GemmType type, const ConvolutionShape& shape, const DeviceTree& tree,
                                   const float* x, const float* dy, float* dw, int64_t node_stride,
                                   float* scratch, Stream stream);

}  // namespace lockstep::kernels::cuda
