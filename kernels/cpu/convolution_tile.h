// The inner loop of a convolution: pixels of a line by one block of output channels, summed over taps and
// channels of a copied source in registers.
#pragma once

#include "kernels/cpu/convolution_block.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kTilePixels = kLanes == 16 ? 14 : 6;  // with two vectors each: as many as the registers hold

// The taps of a sum: where the source pixel lies in the copy, and which weight goes with it.
struct Taps {
  int64_t count = 0;
  int64_t offset[kMaxTaps];  // floats
  int64_t weight[kMaxTaps];  // kh * kernel + kw
};

// Channels that a block of `valid` real ones takes: one vector where that is enough.
int64_t Padded(int64_t valid) { return valid > kLanes ? kBlock : kLanes; }

// What is fixed for all tiles of a block of channels.
struct Sum {
  const Taps* taps;
  int64_t chunk;     // floats between chunks of the copy
  int64_t channels;  // to sum over
  const float* weights;
  int64_t valid;      // channels of the block that exist
  const float* bias;  // of the block, or null
  bool relu, add;
  int64_t pixel_stride;  // of the result, in floats
};

inline Vector Ended(const Sum& sum, int64_t lane, Vector value, const float* to) {
  if (sum.bias != nullptr) value = Add(value, Load(sum.bias + lane));
  if (sum.add) value = Add(Load(to + lane), value);
  return sum.relu ? Relu(value) : value;
}

// The block's last channels, fewer than a vector.
__attribute__((noinline)) void FinishPart(const Sum& sum, int64_t lane, Vector value, float* to) {
  float parts[kLanes];
  Store(parts, value);
  for (int64_t i = 0; lane + i < sum.valid; ++i) {
    float part = parts[i];
    if (sum.bias != nullptr) part = part + sum.bias[lane + i];
    if (sum.add) part = to[lane + i] + part;
    if (sum.relu) part = part < 0.0f ? 0.0f : part;
    to[lane + i] = part;
  }
}

inline void Finish(const Sum& sum, int64_t lane, Vector value, float* to) {
  if (sum.valid >= lane + kLanes) return Store(to + lane, Ended(sum, lane, value, to));
  FinishPart(sum, lane, value, to);
}

template <int kPixels, int kVectors>
void Tile(const Sum& sum, const float* copy, float* result) {
  Vector total[kPixels][kVectors];
  for (auto& pixel : total) {
    for (auto& vector : pixel) vector = Splat(0.0f);
  }
  const float* weights = sum.weights;
  for (int64_t left = sum.channels; left > 0; left -= kChunk, copy += sum.chunk) {
    const int64_t lanes = Least(left, kChunk);
    for (int64_t tap = 0; tap < sum.taps->count; ++tap) {
      const float* from = copy + sum.taps->offset[tap];
      for (int64_t i = 0; i < lanes; ++i, weights += kVectors * kLanes) {
        Vector weight[kVectors];
        for (int v = 0; v < kVectors; ++v) weight[v] = Load(weights + v * kLanes);
        for (int p = 0; p < kPixels; ++p) {
          const Vector pixel = Splat(from[p * kChunk + i]);
          for (int v = 0; v < kVectors; ++v) total[p][v] = MultiplyAdd(pixel, weight[v], total[p][v]);
        }
      }
    }
  }
  for (int p = 0; p < kPixels; ++p) {
    for (int v = 0; v < kVectors; ++v) Finish(sum, v * kLanes, total[p][v], result + p * sum.pixel_stride);
  }
}

template <int kVectors>
void Line(const Sum& sum, int64_t pixels, const float* copy, float* result) {
  using Function = void (*)(const Sum&, const float*, float*);
#if defined(__AVX512F__)
  static constexpr Function kTiles[kTilePixels] = {
      Tile<1, kVectors>,  Tile<2, kVectors>,  Tile<3, kVectors>,  Tile<4, kVectors>, Tile<5, kVectors>,
      Tile<6, kVectors>,  Tile<7, kVectors>,  Tile<8, kVectors>,  Tile<9, kVectors>, Tile<10, kVectors>,
      Tile<11, kVectors>, Tile<12, kVectors>, Tile<13, kVectors>, Tile<14, kVectors>};
#else
  static constexpr Function kTiles[kTilePixels] = {Tile<1, kVectors>, Tile<2, kVectors>, Tile<3, kVectors>,
                                                   Tile<4, kVectors>, Tile<5, kVectors>, Tile<6, kVectors>};
#endif
  // Tiles of nearly one size: a narrow one waits for its few chains of additions.
  for (int64_t tiles = Quotient(pixels, kTilePixels); tiles > 0; --tiles) {
    const int64_t size = Quotient(pixels, tiles);
    kTiles[size - 1](sum, copy, result);
    copy += size * kChunk;
    result += size * sum.pixel_stride;
    pixels -= size;
  }
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
