// 32 x 32 tiles of a matrix product in AMX's tile registers: four accumulators of 16 x 16, two tiles of a and
// two of b. For sources compiled for AMX alone.
//
//   panel of a: for each 16 pairs of k, two tiles (rows 0 to 15, 16 to 31) of 16 rows x 16 words
//   panel of b: for each pair of k, 32 words, a column each
//
// A word is a pair (k, k + 1) of bfloat16. TDPBF16PS adds, for 16 pairs from zero, the products of the pairs'
// first values in one chain of fused multiply-adds and those of the second in another, then one sum to the
// other, then that to the accumulator (Intel's Software Developer's Manual, TDPBF16PS).
#pragma once

#include <immintrin.h>

#include "kernels/cpu/isa.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline constexpr int kSide = 32;
inline constexpr int kPairs = 16;                      // of k in a step
inline constexpr int64_t kPanelStep = kPairs * kSide;  // words of a panel in a step

struct alignas(64) Square {
  float at[kSide][kSide];
};

// The calling thread's tile registers, for the life of this object.
class TileRegisters {
 public:
  TileRegisters() {
    alignas(64) unsigned char shape[64] = {1};  // palette 1
    for (int i = 0; i < 8; ++i) {
      shape[16 + 2 * i] = 64;  // bytes of a row
      shape[48 + i] = 16;      // rows
    }
    // GCC's intrinsics do not say that they read memory.
    asm volatile("" : : "r"(shape) : "memory");
    _tile_loadconfig(shape);
  }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

inline void ClearAccumulators() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

inline void LoadAccumulators(const float* c, int64_t ldc) {
  const auto stride = static_cast<long>(ldc * 4);
  _tile_loadd(0, c, stride);
  _tile_loadd(1, c + 16, stride);
  _tile_loadd(2, c + 16 * ldc, stride);
  _tile_loadd(3, c + 16 * ldc + 16, stride);
}

inline void StoreAccumulators(float* c, int64_t ldc) {
  const auto stride = static_cast<long>(ldc * 4);
  _tile_stored(0, c, stride);
  _tile_stored(1, c + 16, stride);
  _tile_stored(2, c + 16 * ldc, stride);
  _tile_stored(3, c + 16 * ldc + 16, stride);
}

// Adds `steps` steps of the panels to the accumulators.
inline void AccumulateTiles(int64_t steps, const float* a, const float* b) {
  asm volatile("" ::: "memory");  // as in TileRegisters
  for (int64_t p = 0; p < steps; ++p, a += kPanelStep, b += kPanelStep) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 128);
    _tile_loadd(7, b + 16, 128);
    _tile_loadd(5, a + 256, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
