// What attention's kernels are given, and which part of it is a block's.
#pragma once

#include "kernels/attention.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {

struct AttentionInputs {
  AttentionShape shape;
  int64_t tiles;  // that the steps are cut into
  bool four;      // q, k, v, y and dy may be read four floats at a time
  const float *q, *k, *v, *y, *log_sums, *dy;

  __device__ int64_t y_stride() const { return shape.heads * shape.head_width; }
  __device__ int64_t group() const { return shape.heads / shape.key_heads; }
  // Where step 0 of a head of a sample begins.
  __device__ int64_t Query(int64_t row, int64_t head) const {
    return row * shape.steps * shape.q_stride + head * shape.head_width;
  }
  __device__ int64_t Key(int64_t row, int64_t key_head, int64_t stride) const {
    return row * shape.steps * stride + key_head * shape.head_width;
  }
  __device__ int64_t Output(int64_t row, int64_t head) const {
    return row * shape.steps * y_stride() + head * shape.head_width;
  }
  __device__ int64_t Sums(int64_t row, int64_t head) const {
    return (row * shape.heads + head) * shape.steps;
  }
  __device__ bool Sees(int64_t query, int64_t key) const {
    return key < shape.steps && (!shape.causal || key <= query);
  }
};

// Blocks in the order of their number, the longest of a causal head first.
struct Place {
  int64_t row, head, tile;
  __device__ Place(int64_t tiles, int64_t heads, bool last_first) {
    const int64_t block = blockIdx.x;
    tile = last_first ? tiles - 1 - block % tiles : block % tiles;
    head = block / tiles % heads;
    row = block / tiles / heads;
  }
};

// `tile` steps are a block's.
inline AttentionInputs InputsOf(const AttentionShape& shape, int tile, const float* q, const float* k,
                                const float* v, const float* y, const float* log_sums, const float* dy) {
  const bool four = shape.head_width % 4 == 0 && shape.q_stride % 4 == 0 && shape.k_stride % 4 == 0 &&
                    shape.v_stride % 4 == 0 && FourAtATime(q, k, v, y, dy);
  return {shape, (shape.steps + tile - 1) / tile, four, q, k, v, y, log_sums, dy};
}

}  // namespace lockstep::kernels::cuda
