// c (a's lines, b's lines) = a * b over k, of operands as product_tile.h has them, by tiles of that kind
// (ProductTile) or of tensor_tile.h's.
#pragma once

#include "kernels/cuda/product_tile.h"

namespace lockstep::kernels::cuda {

template <class Tile, class A, class B>
__global__ void __launch_bounds__(kThreads)
    ProductKernel(A a, B b, int64_t k, float* c, int64_t ldc, bool add, bool aligned) {
  LOCKSTEP_SHARED(shared, typename Tile::Shared);
  Tile tile(shared, a, b, int64_t{blockIdx.x} * Tile::kSide, int64_t{blockIdx.y} * Tile::kSide);
  tile.Clear();
  if (add) {
    tile.ForElements([&](int64_t row, int64_t column, int count, Pack<4>& sums) {
      sums = LoadSome(c + row * ldc + column, count, aligned);
    });
  }
  tile.Multiply(0, k);
  tile.ForElements([&](int64_t row, int64_t column, int count, const Pack<4>& sums) {
    StoreSome(c + row * ldc + column, sums, count, aligned);
  });
}

template <template <int, class, class> class Tile, class A, class B>
Launched MultiplyTiles(const char* launcher, const A& a, const B& b, int64_t k, float* c, int64_t ldc,
                       bool add, Stream stream) {
  if (a.extent == 0 || b.extent == 0) return {};
  const bool aligned = FourAtATime(c) && ldc % 4 == 0;
  if (FillsDevice(a.extent, b.extent, kLargeTile)) {  // reads less; no bit depends on it
    return Launch<ProductKernel<Tile<kLargeTile, A, B>, A, B>>(
        {launcher, TileGrid(a.extent, b.extent, kLargeTile), kThreads, stream}, a, b, k, c, ldc, add,
        aligned);
  }
  return Launch<ProductKernel<Tile<kSmallTile, A, B>, A, B>>(
      {launcher, TileGrid(a.extent, b.extent, kSmallTile), kThreads, stream}, a, b, k, c, ldc, add, aligned);
}

}  // namespace lockstep::kernels::cuda
