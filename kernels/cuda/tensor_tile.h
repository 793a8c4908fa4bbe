// ProductTile (product_tile.h) on tensor cores: the operands rounded to bfloat16 while they go to shared
// memory, the sums in float32. An element is one chain of mma instructions over k, 16 at a time from `begin`,
// whatever its tile, its row or the rows beside it. What is missing at the end of k is zero, so that a sum of
// -0 may lose its sign there.
//
// Eight warps, two by four, own kSide/2 x kSide/4 elements each. Columns of b lie in shared memory in an
// order of their own within sixteen, so that a thread owns four neighbours of a row of c.
#pragma once

#include "kernels/cuda/pack.h"
#include "kernels/cuda/tensor_core.h"

namespace lockstep::kernels::cuda {

template <int kSide_, class A, class B>
class TensorTile {
 public:
  static constexpr int kSide = kSide_;
  static constexpr int kDepth = 32;
  static constexpr int kRowTiles = kSide / 32;     // of 16 rows, for a warp
  static constexpr int kColumnTiles = kSide / 64;  // of 16 columns
  static constexpr int kPacks = kSide * kDepth / 4 / kThreads;
  static constexpr int kWords = kDepth / 2;   // of a line: pairs along k
  static constexpr int kPadded = kWords + 4;  // eight neighbouring lines lie in different banks
  static_assert(kThreads == 8 * kWarp && kColumnTiles >= 1 && kPacks % 2 == 0);

  struct Slice {
    alignas(16) uint32_t a[kSide][kPadded];
    alignas(16) uint32_t b[kSide][kPadded];
  };
  struct Shared {
    Slice half[2];
  };

  __device__ TensorTile(Shared& shared, const A& a, const B& b, int64_t first_row, int64_t first_column)
      : shared_(shared), a_(a), b_(b), first_row_(first_row), first_column_(first_column) {}

  __device__ void Clear() {
#pragma unroll
    for (int r = 0; r < 2 * kRowTiles; ++r) {
#pragma unroll
      for (int p = 0; p < kColumnTiles; ++p) sums_[r][p] = {};
    }
  }

  // Adds the products of k in [begin, end). Every thread of the block calls it.
  __device__ void Multiply(int64_t begin, int64_t end) {
    if (begin >= end) return;
    Fetch(begin, end);
    Keep();
    __syncthreads();
    // The same for all lanes of a warp.
    const bool any = first_row_ + WarpRow() < a_.extent && first_column_ + WarpColumn() < b_.extent;
    for (int64_t at = begin; at < end; at += kDepth) {
      const bool more = at + kDepth < end;
      const Slice& slice = shared_.half[turn_];
      turn_ ^= 1;
      if (more) Fetch(at + kDepth, end);
      if (any) {
#pragma unroll
        for (int word = 0; word < kWords; word += 8) MultiplySixteen(slice, word);
      }
      if (!more) return;
      Keep();
      __syncthreads();
    }
  }

  template <class Each>
  __device__ void ForElements(const Each& each) {
#pragma unroll
    for (int r = 0; r < 2 * kRowTiles; ++r) {
      const int64_t row = first_row_ + WarpRow() + 8 * r + Group();
      if (row >= a_.extent) continue;
#pragma unroll
      for (int p = 0; p < kColumnTiles; ++p) {
        const int64_t column = first_column_ + WarpColumn() + 16 * p + 4 * InGroup();
        const int64_t left = b_.extent - column;
        if (left > 0) each(row, column, static_cast<int>(left < 4 ? left : 4), sums_[r][p]);
      }
    }
  }

 private:
  __device__ static int Lane() { return static_cast<int>(threadIdx.x) % kWarp; }
  __device__ static int Group() { return Lane() / 4; }
  __device__ static int InGroup() { return Lane() % 4; }
  __device__ static int WarpRow() { return static_cast<int>(threadIdx.x) / kWarp / 4 * (kSide / 2); }
  __device__ static int WarpColumn() { return static_cast<int>(threadIdx.x) / kWarp % 4 * (kSide / 4); }

  // Where the pack, or the pair of packs, number `place` of a slice begins. Along lines, four lanes read 64
  // bytes of a row, and eight rows lie in one warp.
  template <class From>
  __device__ static int LineOf(const From& from, int place) {
    return from.along_k ? place / (kDepth / 4) : (place % 4 + place / (4 * kWords) * 4) * 4;
  }
  template <class From>
  __device__ static int DepthOf(const From& from, int place) {
    return from.along_k ? place % (kDepth / 4) * 4 : place / 4 % kWords * 2;
  }

  template <class From>
  __device__ static void FetchOperand(const From& from, int64_t first, int64_t begin, int64_t end,
                                      Pack<4> (&packs)[kPacks]) {
    const int thread = static_cast<int>(threadIdx.x);
    if (from.along_k) {
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const int place = p * kThreads + thread;
        packs[p] = from.Four(first + LineOf(from, place), begin + DepthOf(from, place), end);
      }
      return;
    }
#pragma unroll
    for (int p = 0; p < kPacks; p += 2) {
      const int place = p / 2 * kThreads + thread;
      const int64_t line = first + LineOf(from, place), k = begin + DepthOf(from, place);
      packs[p] = from.Four(line, k, end);
      packs[p + 1] = from.Four(line, k + 1, end);
    }
  }

  template <class From, class Position>
  __device__ static void KeepOperand(const From& from, const Pack<4> (&packs)[kPacks],
                                     uint32_t (&to)[kSide][kPadded], const Position& position) {
    const int thread = static_cast<int>(threadIdx.x);
    if (from.along_k) {
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const int place = p * kThreads + thread;
        uint32_t* const at = &to[position(LineOf(from, place))][DepthOf(from, place) / 2];
        at[0] = Bf16Pair(packs[p][0], packs[p][1]);
        at[1] = Bf16Pair(packs[p][2], packs[p][3]);
      }
      return;
    }
#pragma unroll
    for (int p = 0; p < kPacks; p += 2) {
      const int place = p / 2 * kThreads + thread;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        to[position(LineOf(from, place) + i)][DepthOf(from, place) / 2] =
            Bf16Pair(packs[p][i], packs[p + 1][i]);
      }
    }
  }

  __device__ void Fetch(int64_t begin, int64_t end) {
    FetchOperand(a_, first_row_, begin, end, next_a_);
    FetchOperand(b_, first_column_, begin, end, next_b_);
  }
  // Column 4 t + 2 e + i of sixteen is column 2 t + i of the instruction's matrix e.
  __device__ void Keep() {
    Slice& slice = shared_.half[turn_];
    KeepOperand(a_, next_a_, slice.a, [](int row) { return row; });
    KeepOperand(b_, next_b_, slice.b, [](int column) {
      const int c = column % 16;
      return column - c + c / 2 % 2 * 8 + c / 4 * 2 + c % 2;
    });
  }

  __device__ void MultiplySixteen(const Slice& slice, int word) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int r = 0; r < kRowTiles; ++r) {
      const int row = WarpRow() + 16 * r + Group(), at = word + InGroup();
      a[r][0] = slice.a[row][at];
      a[r][1] = slice.a[row + 8][at];
      a[r][2] = slice.a[row][at + 4];
      a[r][3] = slice.a[row + 8][at + 4];
    }
#pragma unroll
    for (int p = 0; p < kColumnTiles; ++p) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const uint32_t* const from = slice.b[WarpColumn() + 16 * p + 8 * e + Group()];
        const uint32_t b[2] = {from[word + InGroup()], from[word + InGroup() + 4]};
#pragma unroll
        for (int r = 0; r < kRowTiles; ++r) {
          Pack<4>&upper = sums_[2 * r][p], &lower = sums_[2 * r + 1][p];
          float c[4] = {upper[2 * e], upper[2 * e + 1], lower[2 * e], lower[2 * e + 1]};
          MultiplyBf16(c, a[r], b);
          upper[2 * e] = c[0], upper[2 * e + 1] = c[1];
          lower[2 * e] = c[2], lower[2 * e + 1] = c[3];
        }
      }
    }
  }

  Shared& shared_;
  const A a_;
  const B b_;
  const int64_t first_row_, first_column_;
  int turn_ = 0;  // the half that is written next
  Pack<4> next_a_[kPacks], next_b_[kPacks];
  Pack<4> sums_[2 * kRowTiles][kColumnTiles];  // rows 8 r + Group()
};

}  // namespace lockstep::kernels::cuda
