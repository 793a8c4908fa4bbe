#include "kernels/arrange.h"

#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// A matrix of `inner` by `outer` elements, transposed in squares that fit the cache.
template <bool kAdd>
void CopyPlane(int64_t outer, int64_t inner, const float* __restrict in, int64_t outer_stride,
               int64_t inner_stride, float* __restrict out, int64_t out_stride) {
  constexpr int64_t kSquare = 16;
  if (inner_stride == 1) {
    for (int64_t i = 0; i < outer; ++i) {
      for (int64_t j = 0; j < inner; ++j) {
        float& to = out[i * out_stride + j];
        to = kAdd ? to + in[i * outer_stride + j] : in[i * outer_stride + j];
      }
    }
    return;
  }
  for (int64_t i0 = 0; i0 < outer; i0 += kSquare) {
    const int64_t i1 = i0 + kSquare < outer ? i0 + kSquare : outer;
    for (int64_t j0 = 0; j0 < inner; j0 += kSquare) {
      const int64_t j1 = j0 + kSquare < inner ? j0 + kSquare : inner;
      for (int64_t i = i0; i < i1; ++i) {
        for (int64_t j = j0; j < j1; ++j) {
          float& to = out[i * out_stride + j];
          const float from = in[i * outer_stride + j * inner_stride];
          to = kAdd ? to + from : from;
        }
      }
    }
  }
}

// Output axes with the stride that each has in the input; neighbours that stay neighbours are one axis.
struct Walk {
  int rank = 0;
  int64_t extent[kMaxAxes] = {}, stride[kMaxAxes] = {};
};

Walk Plan(const Permutation& permutation) {
  int64_t strides[kMaxAxes] = {};
  int64_t stride = 1;
  for (int axis = permutation.rank - 1; axis >= 0; --axis) {
    strides[axis] = stride;
    stride *= permutation.shape[axis];
  }
  Walk walk;
  for (int i = 0; i < permutation.rank; ++i) {
    const int axis = permutation.axes[i];
    if (permutation.shape[axis] == 1) continue;
    if (walk.rank > 0 && axis > 0 && walk.stride[walk.rank - 1] == strides[axis] * permutation.shape[axis]) {
      walk.extent[walk.rank - 1] *= permutation.shape[axis];
      walk.stride[walk.rank - 1] = strides[axis];
      continue;
    }
    walk.extent[walk.rank] = permutation.shape[axis];
    walk.stride[walk.rank++] = strides[axis];
  }
  for (; walk.rank < 2; ++walk.rank) {  // at least a matrix: leading axes of one
    for (int i = walk.rank; i > 0; --i) {
      walk.extent[i] = walk.extent[i - 1];
      walk.stride[i] = walk.stride[i - 1];
    }
    walk.extent[0] = 1;
    walk.stride[0] = 0;
    if (walk.rank == 0) walk.stride[0] = 1;
  }
  return walk;
}

template <bool kAdd>
void PermuteRow(const Walk& walk, const float* in, float* out) {
  // The two axes that matter for the cache: the last of the output, and the one that is contiguous in the
  // input.
  const int inner = walk.rank - 1;
  int outer = inner - 1;
  for (int i = 0; i < inner; ++i) {
    if (walk.stride[i] == 1) outer = i;
  }
  int64_t out_strides[kMaxAxes], at[kMaxAxes] = {};
  int64_t stride = 1;
  for (int i = inner; i >= 0; --i) {
    out_strides[i] = stride;
    stride *= walk.extent[i];
  }
  while (true) {
    int64_t from = 0, to = 0;
    for (int i = 0; i < inner; ++i) {
      from += at[i] * walk.stride[i];
      to += at[i] * out_strides[i];
    }
    CopyPlane<kAdd>(walk.extent[outer], walk.extent[inner], in + from, walk.stride[outer], walk.stride[inner],
                    out + to, out_strides[outer]);
    int axis = inner - 1;
    for (; axis >= 0; --axis) {
      if (axis == outer) continue;
      if (++at[axis] < walk.extent[axis]) break;
      at[axis] = 0;
    }
    if (axis < 0) return;
  }
}

}  // namespace

void AddForward(int64_t count, const float* a, const float* b, float* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

void CopyBlocks(int64_t count, int64_t width, const float* in, int64_t in_stride, bool add, float* out,
                int64_t out_stride) {
  if (add) return CopyPlane<true>(count, width, in, in_stride, 1, out, out_stride);
  CopyPlane<false>(count, width, in, in_stride, 1, out, out_stride);
}

void Permute(const Permutation& permutation, int64_t rows, const float* in, bool add, float* out) {
  const Walk walk = Plan(permutation);
  int64_t size = 1;
  for (int i = 0; i < permutation.rank; ++i) size *= permutation.shape[i];
  for (int64_t r = 0; r < rows; ++r, in += size, out += size) {
    if (add) {
      PermuteRow<true>(walk, in, out);
    } else {
      PermuteRow<false>(walk, in, out);
    }
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
