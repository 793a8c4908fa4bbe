// A block's tile of a matrix product: kSide x kSide elements of c[i][j] = sum over k of a(i, k) * b(k, j),
// each one chain of fused multiply-adds over k, first to last. kThreads threads own squares of four by four.
//
// Slices of kDepth values of k go through shared memory, twice: while one is multiplied, the next one is
// already in registers, and is stored to the other half. So one barrier a slice is enough.
//
// Where a slice is cut off (the last one, the tile's edge), what is missing reads as zero at the edge, where
// no element is kept, and is left out at the end of k, where +0 would change a sum of -0.
#pragma once

#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {

// A matrix of `extent` lines of k's values: a's rows, or b's columns.
struct Operand {
  const float* data;
  int64_t stride;  // of the dimension that is not dense
  int64_t extent;
  bool along_k;  // dense along k, else along the lines
  bool aligned;  // four at a time

  // Element (line, k) and the three that follow along the dense dimension; zero from `end` of k on, and
  // beyond the lines.
  __device__ Pack<4> Four(int64_t line, int64_t k, int64_t end) const {
    const float* const at = data + (along_k ? line * stride + k : k * stride + line);
    const int64_t left = along_k ? (line < extent ? end - k : 0) : (k < end ? extent - line : 0);
    if (left >= 4) return Load<4>(at, aligned);
    Pack<4> pack = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i < left) pack[i] = at[i];
    }
    return pack;
  }
};

inline Operand OperandOf(const float* data, int64_t stride, int64_t extent, bool along_k) {
  return {data, stride, extent, along_k, FourAtATime(data) && stride % 4 == 0};
}

// A and B are Operands, or what has extent, along_k and Four as they do.
template <int kSide_, class A, class B>
class ProductTile {
 public:
  static constexpr int kSide = kSide_;
  static constexpr int kDepth = 16;
  static constexpr int kAcross = 16;                            // threads in each direction
  static constexpr int kGroups = kSide / (4 * kAcross);         // squares of a thread, in each direction
  static constexpr int kPacks = kSide * kDepth / 4 / kThreads;  // that a thread moves of each operand
  static constexpr int kPadded = kSide + 4;
  static_assert(kAcross * kAcross == kThreads && kPacks >= 1);

  struct Slice {
    alignas(16) float a[kDepth][kPadded];
    alignas(16) float b[kDepth][kPadded];
  };
  struct Shared {
    Slice half[2];
  };

  // The tile whose first element is (first_row, first_column).
  __device__ ProductTile(Shared& shared, const A& a, const B& b, int64_t first_row, int64_t first_column)
      : shared_(shared), a_(a), b_(b), first_row_(first_row), first_column_(first_column) {}

  // Rows and columns of this thread's square (g, h) begin here.
  __device__ int64_t Row(int g) const {
    return first_row_ + g * 4 * kAcross + 4 * static_cast<int>(threadIdx.x / kAcross);
  }
  __device__ int64_t Column(int h) const {
    return first_column_ + h * 4 * kAcross + 4 * static_cast<int>(threadIdx.x % kAcross);
  }

  __device__ void Clear() {
#pragma unroll
    for (int r = 0; r < 4 * kGroups; ++r) {
#pragma unroll
      for (int h = 0; h < kGroups; ++h) sums_[r][h] = {};
    }
  }

  // Adds the products of k in [begin, end). Every thread of the block calls it.
  __device__ void Multiply(int64_t begin, int64_t end) {
    if (begin >= end) return;
    Fetch(begin, end);
    Keep();
    __syncthreads();
    for (int64_t at = begin; at < end; at += kDepth) {
      const bool more = at + kDepth < end;
      const Slice& slice = shared_.half[turn_];
      turn_ ^= 1;
      if (more) Fetch(at + kDepth, end);
      if (Row(0) < a_.extent && Column(0) < b_.extent) {
        if (at + kDepth <= end) {
#pragma unroll
          for (int k = 0; k < kDepth; ++k) MultiplyOne(slice, k);
        } else {
          for (int k = 0; k < static_cast<int>(end - at); ++k) MultiplyOne(slice, k);
        }
      }
      if (!more) return;
      Keep();
      __syncthreads();
    }
  }

  // Calls each(row, column, count, pack) for each four of this thread's elements within the matrix, `count`
  // of which are.
  template <class Each>
  __device__ void ForElements(const Each& each) {
#pragma unroll
    for (int r = 0; r < 4 * kGroups; ++r) {
      const int64_t row = Row(r / 4) + r % 4;
      if (row >= a_.extent) continue;
#pragma unroll
      for (int h = 0; h < kGroups; ++h) {
        const int64_t column = Column(h), left = b_.extent - column;
        if (left > 0) each(row, column, static_cast<int>(left < 4 ? left : 4), sums_[r][h]);
      }
    }
  }

 private:
  // A part of the next slice, to registers.
  __device__ void Fetch(int64_t begin, int64_t end) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      next_a_[p] = FetchPack(a_, first_row_, Place(p), begin, end);
      next_b_[p] = FetchPack(b_, first_column_, Place(p), begin, end);
    }
  }
  __device__ static int Place(int p) { return p * kThreads + static_cast<int>(threadIdx.x); }

  // Pack number `place` of a slice: four along the dense dimension.
  template <class From>
  __device__ static Pack<4> FetchPack(const From& from, int64_t first_line, int place, int64_t begin,
                                      int64_t end) {
    if (from.along_k) {
      return from.Four(first_line + place / (kDepth / 4), begin + place % (kDepth / 4) * 4, end);
    }
    return from.Four(first_line + place % (kSide / 4) * 4, begin + place / (kSide / 4), end);
  }

  // What was fetched, to the half of shared memory that nobody reads any more.
  __device__ void Keep() {
    Slice& slice = shared_.half[turn_];
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      KeepPack(a_.along_k, Place(p), next_a_[p], slice.a);
      KeepPack(b_.along_k, Place(p), next_b_[p], slice.b);
    }
  }
  __device__ static void KeepPack(bool along_k, int place, const Pack<4>& pack,
                                  float (&to)[kDepth][kPadded]) {
    if (!along_k) return Store(&to[place / (kSide / 4)][place % (kSide / 4) * 4], pack);
    const int line = place / (kDepth / 4), k = place % (kDepth / 4) * 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) to[k + i][line] = pack[i];
  }

  __device__ void MultiplyOne(const Slice& slice, int k) {
    const int row = 4 * static_cast<int>(threadIdx.x / kAcross);
    const int column = 4 * static_cast<int>(threadIdx.x % kAcross);
    Pack<4> a[kGroups], b[kGroups];
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      a[g] = Load<4>(&slice.a[k][g * 4 * kAcross + row]);
      b[g] = Load<4>(&slice.b[k][g * 4 * kAcross + column]);
    }
#pragma unroll
    for (int r = 0; r < 4 * kGroups; ++r) {
#pragma unroll
      for (int c = 0; c < 4 * kGroups; ++c) {
        float& sum = sums_[r][c / 4][c % 4];
        sum = fmaf(a[r / 4][r % 4], b[c / 4][c % 4], sum);
      }
    }
  }

  Shared& shared_;
  const A a_;
  const B b_;
  const int64_t first_row_, first_column_;
  int turn_ = 0;  // the half that is written next
  Pack<4> next_a_[kPacks], next_b_[kPacks];
  Pack<4> sums_[4 * kGroups][kGroups];
};

// The first `count` of four elements of a row.
__device__ inline Pack<4> LoadSome(const float* from, int count, bool aligned) {
  if (count == 4) return Load<4>(from, aligned);
  Pack<4> pack = {};
#pragma unroll
  for (int i = 0; i < 4; ++i) {  // an index that is not constant would put the sums into memory
    if (i < count) pack[i] = from[i];
  }
  return pack;
}
__device__ inline void StoreSome(float* to, const Pack<4>& pack, int count, bool aligned) {
  if (count == 4) return Store(to, pack, aligned);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < count) to[i] = pack[i];
  }
}

inline constexpr int kSmallTile = 64, kLargeTile = 128;

// Enough blocks for a device?
inline bool FillsDevice(int64_t rows, int64_t columns, int side) {
  constexpr int64_t kEnough = 96;
  return (rows / side) * (columns / side) >= kEnough;
}

inline dim3 TileGrid(int64_t rows, int64_t columns, int side) {
  return dim3(static_cast<unsigned>((rows + side - 1) / side),
              static_cast<unsigned>((columns + side - 1) / side));
}

}  // namespace lockstep::kernels::cuda
