// The tiles that attention works on: 64 rows of q, k, v or dy in shared memory, and products of two of them.
//
// A block's 256 threads stand in 16 rows of 16. Thread (ty, tx) owns rows 4 ty ... 4 ty + 3 of a product:
// columns tx + 16 j of a tile of scores (64 x 64), and of a result (64 x width) the packs of columns
// Column(j). So the rows of scores that a thread reads are written by its own half of a warp.
#pragma once

#include "kernels/cuda/pack.h"
#include "kernels/cuda/reduce.h"

namespace lockstep::kernels::cuda {

inline constexpr int kTile = 64;
inline constexpr int kRowsOwned = 4, kScoresOwned = 4, kSide = 16;
inline constexpr int kScoreStride = kTile + 4;

template <int kWidth>
struct Tiles {
  static constexpr int kStride = kWidth + 4;  // eight neighbouring rows lie in different banks
  static constexpr int kFloats = kTile * kStride;
  static constexpr int kVector = kWidth >= 64 ? 4 : 2;
  static constexpr int kPacks = kWidth / (kSide * kVector);  // of a row of a result, for each thread
  using Result = Pack<kVector>[kRowsOwned][kPacks];

  __device__ static int Column(int j) {
    return static_cast<int>(threadIdx.x) % kSide * kVector + j * kSide * kVector;
  }

  // Rows [first, end) of a matrix whose rows are `stride` apart, zeros beyond them and beyond `width`.
  __device__ static void Fill(float* tile, const float* from, int64_t stride, int64_t first, int64_t end,
                              int64_t width, bool four) {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * (kWidth / 4); i += kThreads) {
      const int row = i / (kWidth / 4), column = i % (kWidth / 4) * 4;
      Pack<4> pack = {};
      if (first + row < end) {
        const float* const at = from + (first + row) * stride + column;
        if (four) {
          if (column < width) pack = Load<4>(at);
        } else {
          for (int k = 0; k < 4 && column + k < width; ++k) pack[k] = at[k];
        }
      }
      Store(tile + row * kStride + column, pack);
    }
  }

  // scores[i][j] = a's row 4 ty + i times b's row tx + 16 j
  __device__ static void Multiply(const float* a, const float* b, float (&scores)[kRowsOwned][kScoresOwned]) {
    const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
    for (auto& row : scores) {
      for (float& score : row) score = 0.0f;
    }
#pragma unroll 4
    for (int c = 0; c < kWidth; c += 4) {
      Pack<4> left[kRowsOwned], right[kScoresOwned];
      for (int i = 0; i < kRowsOwned; ++i) left[i] = Load<4>(a + (kRowsOwned * ty + i) * kStride + c);
      for (int j = 0; j < kScoresOwned; ++j) right[j] = Load<4>(b + (tx + kSide * j) * kStride + c);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
#pragma unroll
        for (int i = 0; i < kRowsOwned; ++i) {
#pragma unroll
          for (int j = 0; j < kScoresOwned; ++j) scores[i][j] = fmaf(left[i][k], right[j][k], scores[i][j]);
        }
      }
    }
  }

  // result += scores (64 x 64) times b, row after row of b.
  __device__ static void Accumulate(const float* scores, const float* b, Result& result) {
    const int ty = static_cast<int>(threadIdx.x) / kSide;
#pragma unroll 2
    for (int key = 0; key < kTile; key += 4) {
      Pack<4> left[kRowsOwned];
      for (int i = 0; i < kRowsOwned; ++i)
        left[i] = Load<4>(scores + (kRowsOwned * ty + i) * kScoreStride + key);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
#pragma unroll
        for (int p = 0; p < kPacks; ++p) {
          const auto right = Load<kVector>(b + (key + k) * kStride + Column(p));
#pragma unroll
          for (int i = 0; i < kRowsOwned; ++i) {
#pragma unroll
            for (int e = 0; e < kVector; ++e) result[i][p][e] = fmaf(left[i][k], right[e], result[i][p][e]);
          }
        }
      }
    }
  }

  // Writes factor[i] * result's rows that are real, to rows `stride` apart.
  __device__ static void Put(const Result& result, const float (&factor)[kRowsOwned], float* to,
                             int64_t stride, int64_t first, int64_t end, int64_t width) {
    const int ty = static_cast<int>(threadIdx.x) / kSide;
    for (int i = 0; i < kRowsOwned; ++i) {
      const int64_t row = first + kRowsOwned * ty + i;
      if (row >= end) return;
      for (int p = 0; p < kPacks; ++p) {
        for (int e = 0; e < kVector; ++e) {
          if (Column(p) + e < width) to[row * stride + Column(p) + e] = factor[i] * result[i][p][e];
        }
      }
    }
  }
};

// Leaves this thread's scores where Accumulate reads them.
__device__ inline void PutScores(const float (&scores)[kRowsOwned][kScoresOwned], float* tile) {
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  __syncwarp();  // what was there has been read
  for (int i = 0; i < kRowsOwned; ++i) {
    for (int j = 0; j < kScoresOwned; ++j) {
      tile[(kRowsOwned * ty + i) * kScoreStride + tx + kSide * j] = scores[i][j];
    }
  }
  __syncwarp();
}

// Over the 16 threads that own a row of scores.
template <class Combine>
__device__ inline float RowReduce(float value, const Combine& combine) {
#pragma unroll
  for (int half = kSide / 2; half > 0; half /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, half));
  return value;
}

}  // namespace lockstep::kernels::cuda
