#include "kernels/cuda/arrange.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void AddKernel(int64_t count, bool four, const float* a, const float* b, float* y) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    auto left = Load<pack.kFloats>(a + at);
    const auto right = Load<pack.kFloats>(b + at);
    for (int k = 0; k < pack.kFloats; ++k) left[k] += right[k];
    Store(y + at, left);
  });
}

template <int kCount>
__global__ void CopyBlocksKernel(int64_t count, int64_t width, const float* in, int64_t in_stride, bool add,
                                 float* out, int64_t out_stride) {
  const int64_t packs = width / kCount;
  for (int64_t i = FirstItem(); i < count * packs; i += ItemStride()) {
    const int64_t block = i / packs, column = i % packs * kCount;
    AddOrStore(add, out + block * out_stride + column, Load<kCount>(in + block * in_stride + column));
  }
}

template <int kCount>
__global__ void ZeroBlocksKernel(int64_t count, int64_t width, float* out, int64_t out_stride) {
  const int64_t packs = width / kCount;
  for (int64_t i = FirstItem(); i < count * packs; i += ItemStride()) {
    Store(out + i / packs * out_stride + i % packs * kCount, Pack<kCount>{});
  }
}

// Output axes, the row first, with the stride that each has in the input; axes of one are gone, and
// neighbours that stay neighbours are one axis.
struct Walk {
  int rank = 0;
  int64_t extent[kMaxAxes + 1] = {}, stride[kMaxAxes + 1] = {};

  void Append(int64_t axis_extent, int64_t axis_stride) {
    if (axis_extent == 1) return;
    if (rank > 0 && stride[rank - 1] == axis_extent * axis_stride) {
      extent[rank - 1] *= axis_extent;
      stride[rank - 1] = axis_stride;
      return;
    }
    extent[rank] = axis_extent;
    stride[rank++] = axis_stride;
  }
  // Where `index` of the axes before `axes` (in order, without `skip`) begins in the input and the output.
  __device__ void Place(int64_t index, int axes, int skip, int64_t* from, int64_t* to) const {
    int64_t out_stride = 1;
    for (int i = rank - 1; i >= axes; --i) out_stride *= extent[i];
    for (int i = axes - 1; i >= 0; --i) {
      if (i != skip) {
        *from += index % extent[i] * stride[i];
        *to += index % extent[i] * out_stride;
        index /= extent[i];
      }
      out_stride *= extent[i];
    }
  }
};

Walk PlanWalk(const Permutation& permutation, int64_t rows) {
  int64_t strides[kMaxAxes] = {}, size = 1;
  for (int axis = permutation.rank - 1; axis >= 0; --axis) {
    strides[axis] = size;
    size *= permutation.shape[axis];
  }
  Walk walk;
  walk.Append(rows, size);
  for (int i = 0; i < permutation.rank; ++i) {
    walk.Append(permutation.shape[permutation.axes[i]], strides[permutation.axes[i]]);
  }
  if (walk.rank == 0) {
    walk.rank = 1;
    walk.extent[0] = walk.stride[0] = 1;
  }
  return walk;
}

// The last axis of the output is contiguous in the input, too.
template <int kCount>
__global__ void PermuteRunsKernel(Walk walk, int64_t count, const float* in, bool add, float* out) {
  const int64_t run = walk.extent[walk.rank - 1] / kCount;
  for (int64_t i = FirstItem(); i < count / kCount; i += ItemStride()) {
    int64_t from = i % run * kCount, to = 0;
    walk.Place(i / run, walk.rank - 1, -1, &from, &to);
    AddOrStore(add, out + i * kCount, Load<kCount>(in + from));
  }
}

// Squares of the plane of the output's last axis and of axis `outer`, which is contiguous in the input: read
// and written along rows, turned in shared memory.
__global__ void PermuteSquaresKernel(Walk walk, int outer, int64_t planes, const float* in, bool add,
                                     float* out) {
  constexpr int kRowsAtOnce = kThreads / kWarp;
  LOCKSTEP_SHARED(square, float[kWarp][kWarp + 1]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, first = static_cast<int>(threadIdx.x) / kWarp;
  const int inner = walk.rank - 1;
  const int64_t height = walk.extent[outer], width = walk.extent[inner];
  const int64_t across = (width + kWarp - 1) / kWarp, squares = (height + kWarp - 1) / kWarp * across;
  int64_t outer_stride = 1;
  for (int i = inner; i > outer; --i) outer_stride *= walk.extent[i];
  for (int64_t item = blockIdx.x; item < planes * squares; item += gridDim.x) {
    int64_t from = 0, to = 0;
    walk.Place(item / squares, inner, outer, &from, &to);
    const int64_t i0 = item % squares / across * kWarp, j0 = item % across * kWarp;
    __syncthreads();  // the square before has been read
    for (int row = first; row < kWarp; row += kRowsAtOnce) {
      const int64_t i = i0 + lane, j = j0 + row;
      if (i < height && j < width) square[row][lane] = in[from + i + j * walk.stride[inner]];
    }
    __syncthreads();
    for (int row = first; row < kWarp; row += kRowsAtOnce) {
      const int64_t i = i0 + row, j = j0 + lane;
      if (i >= height || j >= width) continue;
      float* const at = out + to + i * outer_stride + j;
      *at = add ? *at + square[lane][row] : square[lane][row];
    }
  }
}

}  // namespace

Launched AddForward(int64_t count, const float* a, const float* b, float* y, Stream stream) {
  if (count == 0) return {};
  return Launch<AddKernel>({"AddForward", PackBlocks(count), kThreads, stream}, count, FourAtATime(a, b, y),
                           a, b, y);
}

Launched CopyBlocks(int64_t count, int64_t width, const float* in, int64_t in_stride, bool add, float* out,
                    int64_t out_stride, Stream stream) {
  if (count * width == 0) return {};
  if (width % 4 == 0 && in_stride % 4 == 0 && out_stride % 4 == 0 && FourAtATime(in, out)) {
    return Launch<CopyBlocksKernel<4>>({"CopyBlocks", PackBlocks(count * width), kThreads, stream}, count,
                                       width, in, in_stride, add, out, out_stride);
  }
  return Launch<CopyBlocksKernel<1>>({"CopyBlocks", Blocks(count * width), kThreads, stream}, count, width,
                                     in, in_stride, add, out, out_stride);
}

Launched ZeroBlocks(int64_t count, int64_t width, float* out, int64_t out_stride, Stream stream) {
  if (count * width == 0) return {};
  if (width % 4 == 0 && out_stride % 4 == 0 && FourAtATime(out)) {
    return Launch<ZeroBlocksKernel<4>>({"ZeroBlocks", PackBlocks(count * width), kThreads, stream}, count,
                                       width, out, out_stride);
  }
  return Launch<ZeroBlocksKernel<1>>({"ZeroBlocks", Blocks(count * width), kThreads, stream}, count, width,
                                     out, out_stride);
}

Launched Permute(const Permutation& permutation, int64_t rows, const float* in, bool add, float* out,
                 Stream stream) {
  int64_t count = rows;
  for (int i = 0; i < permutation.rank; ++i) count *= permutation.shape[i];
  if (count == 0) return {};
  const Walk walk = PlanWalk(permutation, rows);
  const int inner = walk.rank - 1;
  if (walk.stride[inner] == 1) {
    bool four = walk.extent[inner] % 4 == 0 && FourAtATime(in, out);
    for (int i = 0; i < inner; ++i) four = four && walk.stride[i] % 4 == 0;
    if (four) {
      return Launch<PermuteRunsKernel<4>>({"Permute", PackBlocks(count), kThreads, stream}, walk, count, in,
                                          add, out);
    }
    return Launch<PermuteRunsKernel<1>>({"Permute", Blocks(count), kThreads, stream}, walk, count, in, add,
                                        out);
  }
  int outer = 0;
  while (walk.stride[outer] != 1) ++outer;  // some axis is contiguous
  const int64_t planes = count / walk.extent[outer] / walk.extent[inner];
  const int64_t squares =
      (walk.extent[outer] + kWarp - 1) / kWarp * ((walk.extent[inner] + kWarp - 1) / kWarp);
  const unsigned blocks = Blocks(planes * squares, 1);  // as many as are resident, or fewer
  return Launch<PermuteSquaresKernel>({"Permute", blocks < 1024 ? blocks : 1024, kThreads, stream}, walk,
                                      outer, planes, in, add, out);
}

}  // namespace lockstep::kernels::cuda
