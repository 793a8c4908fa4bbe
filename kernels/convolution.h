// Two-dimensional convolution (cross-correlation, as deep learning has it) and its gradients.
//
//   y[n, r, c, o]      = f(bias[o] + sum over kh, kw, i of x[n, r*s + kh - p, c*s + kw - p, i] * w[o, i, kh,
//   kw]) dx[n, h, v, i]     = the sum of dy[n, r, c, o] * w[o, i, kh, kw] over what x[n, h, v, i] was part of
//   dw_s[o, i, kh, kw] = sum over the real rows n of shard s, then r, c, of x[n, ...] * dy[n, r, c, o]
//   db_s[o]            = sum over the real rows n of shard s, then r, c, of dy[n, r, c, o]
//
// x outside the image is zero. With groups, output channel o sees the input channels of its group alone, and
// i counts within the group. dw and db are summed over the shards in the order of the reduction tree
// (kernels/shard_outer.h).
//
// Shapes: x, dx (rows, height, width, channels); y, dy (rows, out_height, out_width, outputs);
// w (outputs, channels / groups, kernel, kernel), as PyTorch has it; bias (outputs). Dense float32.
//
// Determinism: a row of y and dx is computed from that row of x or dy alone, in one order. An element of dw
// is computed from the rows of its shard alone. So bits depend neither on the rows beside it, nor on how
// ranges are shared among threads.
//
// Everything here runs on the calling thread and allocates nothing. Packed weights are made once a step and
// read by all.
#pragma once

#include <cstdint>

#include "kernels/shard_outer.h"

namespace lockstep::kernels {

inline constexpr int64_t kMaxConvolutionKernel = 15;

struct ConvolutionShape {
  int64_t height = 1, width = 1, channels = 1;  // of the input
  int64_t outputs = 1;                          // channels of the output
  int64_t kernel = 3;                           // square; at most kMaxConvolutionKernel
  int64_t stride = 1, padding = 0, groups = 1;
};

// (extent + 2 padding - kernel) / stride + 1, rounded down. REQUIRES: the kernel fits.
int64_t ConvolvedExtent(int64_t extent, int64_t kernel, int64_t stride, int64_t padding);

namespace cpu {

// What follows the sum.
struct ConvolutionEnd {
  const float* bias = nullptr;  // (outputs); null: none
  bool relu = false;
};

// The weights in the order in which they are read; in floats, the same for both directions.
int64_t ConvolutionPackedSize(const ConvolutionShape& shape);
// A unit is a block of output (forward) or input (backward) channels; threads share [0, units).
int64_t ConvolutionPackUnits(const ConvolutionShape& shape, bool backward);
void ConvolutionPack(const ConvolutionShape& shape, bool backward, int64_t begin, int64_t end,
                     const float* weights, float* packed);

// Floats of private memory of one thread in forward and in the input's gradient.
int64_t ConvolutionScratch(const ConvolutionShape& shape);
// Rows [begin, end) of y. `packed` is ConvolutionPack's, forward.
void ConvolutionForward(const ConvolutionShape& shape, int64_t begin, int64_t end, const float* x,
                        const float* packed, const ConvolutionEnd& last, float* y, float* scratch);
// Rows [begin, end) of dx, written, or with `add` added to what is there. `packed` is ConvolutionPack's,
// backward.
void ConvolutionInputGradient(const ConvolutionShape& shape, int64_t begin, int64_t end, const float* dy,
                              const float* packed, bool add, float* dx, float* scratch);

// A unit is a tile of the weights; threads share [0, units).
int64_t ConvolutionWeightUnits(const ConvolutionShape& shape);
// Floats of private memory of one thread, for trees of up to `shards` local shards.
int64_t ConvolutionWeightScratch(const ConvolutionShape& shape, int64_t shards);
// Units [begin, end) of dw (and of db, unless null): node n's sums are written to dw + n * node_stride (db
// alike).
void ConvolutionWeightGradient(const ConvolutionShape& shape, const ShardTree& tree, int64_t begin,
                               int64_t end, const float* x, const float* dy, float* dw, float* db,
                               int64_t node_stride, float* scratch);

}  // namespace cpu
}  // namespace lockstep::kernels
