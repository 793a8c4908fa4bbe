// Additions and copies that rearrange samples: residual connections, concatenation, transposition.
//
//   AddForward   y = a + b                                                      (count)
//   CopyBlocks   out[i * out_stride + c] = in[i * in_stride + c], c < width      a slice of each of `count`
//   blocks Permute      out[.., i_axes[0], i_axes[1], ..] = in[.., i_0, i_1, ..]        each row's axes
//   exchanged
//
// `add`: += instead of =, for gradients that join what other consumers left. Elementwise; input and output do
// not overlap (AddForward: y may be a). The gradient of a permutation is the inverse one.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

inline constexpr int kMaxAxes = 6;
struct Permutation {
  int rank = 0;
  int64_t shape[kMaxAxes] = {};  // of one input row
  int axes[kMaxAxes] = {};       // output axis i is input axis axes[i]
};

namespace cpu {
void AddForward(int64_t count, const float* a, const float* b, float* y);

void CopyBlocks(int64_t count, int64_t width, const float* in, int64_t in_stride, bool add, float* out,
                int64_t out_stride);

void Permute(const Permutation& permutation, int64_t rows, const float* in, bool add, float* out);
}  // namespace cpu

}  // namespace lockstep::kernels
