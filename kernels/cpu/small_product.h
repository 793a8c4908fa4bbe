// A small matrix product in registers, for kernels whose operands are in the cache.
//
//   c (rows, columns) = [c +] a (rows, depth) * b (depth, columns)
//
// Each element is one chain of fused multiply-adds over the depth, whatever the tile. `a` has any strides (so
// that it may be read transposed), b and c have contiguous columns. rows is a multiple of 8, columns of
// kLanes.
#pragma once

#include "kernels/cpu/vector.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kSmallColumns = kLanes == 16 ? 4 : 2;  // vectors

struct SmallOperands {
  const float* a;
  int64_t a_row, a_depth;  // strides
  const float* b;
  int64_t b_depth;
  float* c;
  int64_t c_row;
  int64_t depth;
  bool add;
};

template <int kRows, int kVectors>
inline void SmallTile(const SmallOperands& op, int64_t i, int64_t j) {
  Vector sum[kRows][kVectors];
  float* c = op.c + i * op.c_row + j;
  for (int u = 0; u < kRows; ++u) {
    for (int v = 0; v < kVectors; ++v) {
      sum[u][v] = op.add ? Load(c + u * op.c_row + v * kLanes) : Splat(0.0f);
    }
  }
  const float* a = op.a + i * op.a_row;
  const float* b = op.b + j;
  for (int64_t d = 0; d < op.depth; ++d, a += op.a_depth, b += op.b_depth) {
    Vector right[kVectors];
    for (int v = 0; v < kVectors; ++v) right[v] = Load(b + v * kLanes);
    for (int u = 0; u < kRows; ++u) {
      const Vector left = Splat(a[u * op.a_row]);
      for (int v = 0; v < kVectors; ++v) sum[u][v] = MultiplyAdd(left, right[v], sum[u][v]);
    }
  }
  for (int u = 0; u < kRows; ++u) {
    for (int v = 0; v < kVectors; ++v) Store(c + u * op.c_row + v * kLanes, sum[u][v]);
  }
}

// Enough accumulators to hide the latency of a multiply-add, few enough for the registers.
template <int kVectors>
void SmallStrip(const SmallOperands& op, int64_t rows, int64_t j) {
  constexpr int kRows = 2 * kVectors > kSmallColumns ? 4 : 8;
  for (int64_t i = 0; i < rows; i += kRows) SmallTile<kRows, kVectors>(op, i, j);
}

inline void SmallProduct(const SmallOperands& op, int64_t rows, int64_t columns) {
  int64_t j = 0;
  for (; j + kSmallColumns * kLanes <= columns; j += kSmallColumns * kLanes)
    SmallStrip<kSmallColumns>(op, rows, j);
  const int64_t left = (columns - j) / kLanes;
  if constexpr (kSmallColumns > 2) {
    if (left == 3) return SmallStrip<3>(op, rows, j);
    if (left == 2) return SmallStrip<2>(op, rows, j);
  }
  if (left == 1) SmallStrip<1>(op, rows, j);
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
