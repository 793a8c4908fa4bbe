// The tiles that attention's tensor core kernels work on, in shared memory as bfloat16, two to a word, and
// products of a warp's 16 rows with them.
//
//   lines     (lines, width): neighbouring channels share a word. Operand of scores.
//   columns   (width, lines): neighbouring lines share a word. Operand of results.
//
// Either has four words more in a row, so that eight neighbouring rows lie in different banks. A warp's
// scores are fragments of 16 x 8 (tensor_core.h): lane 4 g + t holds rows g and g + 8, columns 2 t and
// 2 t + 1. Two neighbours are an operand of the next product as they are, which never leaves the registers.
#pragma once

#include "kernels/cuda/pack.h"
#include "kernels/cuda/tensor_core.h"

namespace lockstep::kernels::cuda {

inline constexpr int kRowsOfWarp = 16;

__device__ inline int LaneGroup() { return static_cast<int>(threadIdx.x) % kWarp / 4; }
__device__ inline int LaneInGroup() { return static_cast<int>(threadIdx.x) % 4; }

template <int kWidth, int kLines>
struct TensorTiles {
  static constexpr int kLineStride = kWidth / 2 + 4, kColumnStride = kLines / 2 + 4;
  static constexpr int kLineWords = kLines * kLineStride, kColumnWords = kWidth * kColumnStride;
  using Scores = float[kLines / 8][4];
  using Result = float[kWidth / 8][4];

  // Rows [first, first + kLines) of a matrix whose rows are `stride` apart, zeros from `end` on and beyond
  // `width`, to one or both of the orders. Four lanes read 64 bytes of a row, eight pairs of rows lie in one
  // warp.
  template <bool kAsLines, bool kAsColumns>
  __device__ static void Fill(uint32_t* lines, uint32_t* columns, const float* from, int64_t stride,
                              int64_t first, int64_t end, int64_t width, bool four) {
    for (int i = static_cast<int>(threadIdx.x); i < kLines / 2 * (kWidth / 4); i += kThreads) {
      const int pair = i / 4 % (kLines / 2);
      const int channel = (i / 4 / (kLines / 2) * 4 + i % 4) * 4;
      Pack<4> packs[2] = {};
#pragma unroll
      for (int l = 0; l < 2; ++l) {
        const int64_t line = first + 2 * pair + l;
        if (line >= end) continue;
        const float* const at = from + line * stride + channel;
        if (four) {
          if (channel < width) packs[l] = Load<4>(at);
        } else {
#pragma unroll
          for (int c = 0; c < 4; ++c) {
            if (channel + c < width) packs[l][c] = at[c];
          }
        }
      }
      if (kAsLines) {
#pragma unroll
        for (int l = 0; l < 2; ++l) {
          uint32_t* const to = lines + (2 * pair + l) * kLineStride + channel / 2;
          to[0] = Bf16Pair(packs[l][0], packs[l][1]);
          to[1] = Bf16Pair(packs[l][2], packs[l][3]);
        }
      }
      if (kAsColumns) {
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          columns[(channel + c) * kColumnStride + pair] = Bf16Pair(packs[0][c], packs[1][c]);
        }
      }
    }
  }

  // scores = the 16 rows at `rows` (lines of kLineStride words) times each of `lines`.
  __device__ static void Multiply(const uint32_t* rows, const uint32_t* lines, Scores& scores) {
    const int group = LaneGroup(), t = LaneInGroup();
#pragma unroll
    for (int n = 0; n < kLines / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[n][i] = 0.0f;
    }
#pragma unroll
    for (int word = t; word < kWidth / 2; word += 8) {
      const uint32_t* const upper = rows + group * kLineStride + word;
      const uint32_t* const lower = upper + 8 * kLineStride;
      const uint32_t a[4] = {upper[0], lower[0], upper[4], lower[4]};
#pragma unroll
      for (int n = 0; n < kLines / 8; ++n) {
        const uint32_t* const from = lines + (8 * n + group) * kLineStride + word;
        const uint32_t b[2] = {from[0], from[4]};
        MultiplyBf16(scores[n], a, b);
      }
    }
  }

  // result += scores, rounded, times `columns`.
  __device__ static void Accumulate(const Scores& scores, const uint32_t* columns, Result& result) {
    const int group = LaneGroup(), t = LaneInGroup();
#pragma unroll
    for (int k = 0; k < kLines / 16; ++k) {
      const float(&left)[4] = scores[2 * k];
      const float(&right)[4] = scores[2 * k + 1];
      const uint32_t a[4] = {Bf16Pair(left[0], left[1]), Bf16Pair(left[2], left[3]),
                             Bf16Pair(right[0], right[1]), Bf16Pair(right[2], right[3])};
#pragma unroll
      for (int n = 0; n < kWidth / 8; ++n) {
        const uint32_t* const from = columns + (8 * n + group) * kColumnStride + 8 * k + t;
        const uint32_t b[2] = {from[0], from[4]};
        MultiplyBf16(result[n], a, b);
      }
    }
  }

  // Writes factor[0] times the rows g, factor[1] times the rows g + 8 of a result that are before `end`, to
  // rows `stride` apart; the warp's first one is `first`.
  __device__ static void Put(const Result& result, const float (&factor)[2], float* to, int64_t stride,
                             int64_t first, int64_t end, int64_t width) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t row = first + LaneGroup() + 8 * half;
      if (row >= end) continue;
#pragma unroll
      for (int n = 0; n < kWidth / 8; ++n) {
        const int column = 8 * n + 2 * LaneInGroup();
        float* const at = to + row * stride + column;
        if (column < width) at[0] = factor[half] * result[n][2 * half];
        if (column + 1 < width) at[1] = factor[half] * result[n][2 * half + 1];
      }
    }
  }
};

// Over the four lanes that hold a row.
template <class Combine>
__device__ inline float FourReduce(float value, const Combine& combine) {
  value = combine(value, __shfl_xor_sync(kAllLanes, value, 1));
  return combine(value, __shfl_xor_sync(kAllLanes, value, 2));
}

}  // namespace lockstep::kernels::cuda
