// Convolutions of 3x3 by Winograd's F(2x2, 3x3) (Lavin & Gray 2015): four outputs of a 4x4 tile of inputs
// from 16 products instead of 36, as 16 matrix products over channels between cheap transforms.
//
//   y = A' [ (G g G') . (B' d B) ] A        dg = G' [ sum over tiles (B' d B) . (A dy A') ] G
//
// The products' sums are chains over channels (over a shard's tiles for dg), each in one order, so that the
// promises of kernels/convolution.h hold. Roundings are a few times those of the direct sum; everything stays
// float32.
#pragma once

#include "kernels/convolution.h"
#include "kernels/cpu/isa.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

// Where it is faster than the direct sum.
bool WinogradApplies(const ConvolutionShape& shape);

// As the functions of kernels/convolution.h.
int64_t WinogradPackedSize(const ConvolutionShape& shape);
void WinogradPack(const ConvolutionShape& shape, bool backward, int64_t begin, int64_t end,
                  const float* weights, float* packed);
int64_t WinogradScratch(const ConvolutionShape& shape);
void WinogradRun(const ConvolutionShape& shape, bool backward, int64_t begin, int64_t end,
                 const float* source, const float* packed, const ConvolutionEnd& last, bool add,
                 float* result, float* scratch);
int64_t WinogradWeightUnits(const ConvolutionShape& shape);
int64_t WinogradWeightScratch(const ConvolutionShape& shape, int64_t shards);
void WinogradWeightGradient(const ConvolutionShape& shape, const ShardTree& tree, int64_t begin, int64_t end,
                            const float* x, const float* dy, float* dw, float* db, int64_t node_stride,
                            float* scratch);

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
