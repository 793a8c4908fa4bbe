// The innermost tile of a matrix product: kTileRows x (2 vectors), accumulated over packed panels.
//
//   panel of a: for each k, kTileRows consecutive values        panel of b: for each k, kTileColumns
//   consecutive values
//
// A panel of bf16 holds one 32-bit word, the pair (k, k + 1), where one of float32 holds a value; k then
// counts pairs.
#pragma once

#include "kernels/cpu/isa.h"
#include "kernels/cpu/vector.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline constexpr int kTileRows = kLanes == 16  ? 12
                                 : kLanes == 8 ? 6
                                               : 4;  // what the registers hold, with two of b and one of a
inline constexpr int kTileColumns = 2 * kLanes;

struct Tile {
  Vector at[kTileRows][2];
};

inline void Clear(Tile& tile) {
#pragma GCC unroll 12
  for (int i = 0; i < kTileRows; ++i) tile.at[i][0] = tile.at[i][1] = Splat(0.0f);
}

// `tile` = `k` steps of the panels, summed from zero; then, unless `left` is null, *left + that.
template <class Arithmetic>
inline void Product(int64_t k, const float* a, const float* b, const Tile* left, Tile& tile) {
  Tile sum;
  Clear(sum);
  for (int64_t p = 0; p < k; ++p, a += kTileRows, b += kTileColumns) {
    const Vector first = Load(b), second = Load(b + kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kTileRows; ++i) {
      const Vector value = Splat(a[i]);
      sum.at[i][0] = Arithmetic::MultiplyAdd(value, first, sum.at[i][0]);
      sum.at[i][1] = Arithmetic::MultiplyAdd(value, second, sum.at[i][1]);
    }
  }
  if (left == nullptr) {
    tile = sum;
    return;
  }
#pragma GCC unroll 12
  for (int i = 0; i < kTileRows; ++i) {
    tile.at[i][0] = Add(left->at[i][0], sum.at[i][0]);
    tile.at[i][1] = Add(left->at[i][1], sum.at[i][1]);
  }
}

// Multiply-adds `k` steps of the panels to `tile`.
template <class Arithmetic>
inline void Accumulate(int64_t k, const float* a, const float* b, Tile& tile) {
  Tile sum = tile;
  for (int64_t p = 0; p < k; ++p, a += kTileRows, b += kTileColumns) {
    const Vector left = Load(b), right = Load(b + kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kTileRows; ++i) {
      const Vector value = Splat(a[i]);
      sum.at[i][0] = Arithmetic::MultiplyAdd(value, left, sum.at[i][0]);
      sum.at[i][1] = Arithmetic::MultiplyAdd(value, right, sum.at[i][1]);
    }
  }
  tile = sum;
}

struct Fp32 {
  static constexpr int kPer = 1;  // values of k in a step
  static Vector MultiplyAdd(Vector a, Vector b, Vector c) { return LOCKSTEP_ISA::MultiplyAdd(a, b, c); }
};

// The part of a tile that lies inside a matrix: `rows` x `columns` of it.
inline void LoadTile(const float* c, int64_t ldc, int rows, int columns, Tile& tile) {
  alignas(64) float buffer[kTileColumns] = {};
  for (int i = 0; i < kTileRows; ++i) {
    if (i >= rows) {
      tile.at[i][0] = tile.at[i][1] = Splat(0.0f);
    } else if (columns == kTileColumns) {
      tile.at[i][0] = Load(c + i * ldc);
      tile.at[i][1] = Load(c + i * ldc + kLanes);
    } else {
      for (int j = 0; j < columns; ++j) buffer[j] = c[i * ldc + j];
      tile.at[i][0] = Load(buffer);
      tile.at[i][1] = Load(buffer + kLanes);
    }
  }
}

inline void StoreTile(const Tile& tile, float* c, int64_t ldc, int rows, int columns) {
  alignas(64) float buffer[kTileColumns];
  for (int i = 0; i < rows; ++i) {
    if (columns == kTileColumns) {
      Store(c + i * ldc, tile.at[i][0]);
      Store(c + i * ldc + kLanes, tile.at[i][1]);
    } else {
      Store(buffer, tile.at[i][0]);
      Store(buffer + kLanes, tile.at[i][1]);
      for (int j = 0; j < columns; ++j) c[i * ldc + j] = buffer[j];
    }
  }
}

// The first `rows` of a tile, past the caches.
inline void StreamTile(const Tile& tile, float* c, int64_t ldc, int rows) {
  for (int i = 0; i < rows; ++i) {
    Stream(c + i * ldc, tile.at[i][0]);
    Stream(c + i * ldc + kLanes, tile.at[i][1]);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
