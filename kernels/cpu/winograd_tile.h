// Winograd's transforms of one tile, on vectors of channels.
#pragma once

#include "kernels/cpu/convolution_block.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline constexpr int kElements = 16;  // of a 4x4 tile

// The 4x4 tiles of an image that overlap by two and whose 2x2 results cover `rows` x `columns`.
struct Tiles {
  int64_t rows, columns;  // of tiles
  int64_t count() const { return rows * columns; }
};

// A tile of a batch of images; counted on, as divisions are slow.
struct TilePlace {
  TilePlace(const Tiles& all, int64_t number)
      : tiles(all),
        image(number / all.count()),
        row(number % all.count() / all.columns * 2),
        column(number % all.columns * 2) {}
  void Next() {
    column += 2;
    if (column < 2 * tiles.columns) return;
    column = 0, row += 2;
    if (row < 2 * tiles.rows) return;
    row = 0, ++image;
  }
  const Tiles tiles;
  int64_t image, row, column;  // row and column of its first result
};

// v = B' d B, in place; B' = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1].
inline void TransformInput(Vector (&d)[kElements]) {
  for (int c = 0; c < 4; ++c) {
    const Vector a = d[c], b = d[4 + c], e = d[8 + c], f = d[12 + c];
    d[c] = Subtract(a, e), d[4 + c] = Add(b, e), d[8 + c] = Subtract(e, b), d[12 + c] = Subtract(b, f);
  }
  for (int r = 0; r < kElements; r += 4) {
    const Vector a = d[r], b = d[r + 1], e = d[r + 2], f = d[r + 3];
    d[r] = Subtract(a, e), d[r + 1] = Add(b, e), d[r + 2] = Subtract(e, b), d[r + 3] = Subtract(b, f);
  }
}

// The four results of A' m A; A' = [1 1 1 0; 0 1 -1 -1].
inline void TransformOutput(const Vector (&m)[kElements], Vector (&y)[4]) {
  Vector half[2][4];
  for (int c = 0; c < 4; ++c) {
    half[0][c] = Add(Add(m[c], m[4 + c]), m[8 + c]);
    half[1][c] = Subtract(Subtract(m[4 + c], m[8 + c]), m[12 + c]);
  }
  for (int r = 0; r < 2; ++r) {
    y[2 * r] = Add(Add(half[r][0], half[r][1]), half[r][2]);
    y[2 * r + 1] = Subtract(Subtract(half[r][1], half[r][2]), half[r][3]);
  }
}

// z = A y A'.
inline void TransformGradient(const Vector (&y)[4], Vector (&z)[kElements]) {
  const Vector zero = Splat(0.0f);
  Vector half[4][2];
  for (int c = 0; c < 2; ++c) {
    half[0][c] = y[c];
    half[1][c] = Add(y[c], y[2 + c]);
    half[2][c] = Subtract(y[c], y[2 + c]);
    half[3][c] = Subtract(zero, y[2 + c]);
  }
  for (int r = 0; r < 4; ++r) {
    z[4 * r] = half[r][0];
    z[4 * r + 1] = Add(half[r][0], half[r][1]);
    z[4 * r + 2] = Subtract(half[r][0], half[r][1]);
    z[4 * r + 3] = Subtract(zero, half[r][1]);
  }
}

// u = G g G'; G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1].
inline void TransformWeights(const Vector (&g)[9], Vector (&u)[kElements]) {
  const Vector one_half = Splat(0.5f), zero = Splat(0.0f);
  Vector half[4][3];
  for (int c = 0; c < 3; ++c) {
    const Vector sum = Add(g[c], g[6 + c]);
    half[0][c] = g[c];
    half[1][c] = MultiplyAdd(one_half, Add(sum, g[3 + c]), zero);
    half[2][c] = MultiplyAdd(one_half, Subtract(sum, g[3 + c]), zero);
    half[3][c] = g[6 + c];
  }
  for (int r = 0; r < 4; ++r) {
    const Vector sum = Add(half[r][0], half[r][2]);
    u[4 * r] = half[r][0];
    u[4 * r + 1] = MultiplyAdd(one_half, Add(sum, half[r][1]), zero);
    u[4 * r + 2] = MultiplyAdd(one_half, Subtract(sum, half[r][1]), zero);
    u[4 * r + 3] = half[r][2];
  }
}

// dg = G' u G.
inline void TransformWeightGradient(const Vector (&u)[kElements], Vector (&g)[9]) {
  const Vector one_half = Splat(0.5f), zero = Splat(0.0f);
  Vector half[3][4];
  for (int c = 0; c < 4; ++c) {
    const Vector sum = MultiplyAdd(one_half, Add(u[4 + c], u[8 + c]), zero);
    half[0][c] = Add(u[c], sum);
    half[1][c] = MultiplyAdd(one_half, Subtract(u[4 + c], u[8 + c]), zero);
    half[2][c] = Add(sum, u[12 + c]);
  }
  for (int r = 0; r < 3; ++r) {
    const Vector sum = MultiplyAdd(one_half, Add(half[r][1], half[r][2]), zero);
    g[3 * r] = Add(half[r][0], sum);
    g[3 * r + 1] = MultiplyAdd(one_half, Subtract(half[r][1], half[r][2]), zero);
    g[3 * r + 2] = Add(sum, half[r][3]);
  }
}

// An image and the place of a tile of inputs in it.
struct Window {
  const float* image;
  int64_t rows, columns, channels;
  int64_t row, column;  // of the tile; may lie outside, where there are zeros

  bool inside() const { return row >= 0 && row + 4 <= rows && column >= 0 && column + 4 <= columns; }
  const float* first() const { return image + (row * columns + column) * channels; }  // REQUIRES: inside
};

// A null pointer stands for zeros.
inline void FindPixels(const Window& window, const float* (&pixels)[kElements]) {
  for (int r = 0; r < 4; ++r) {
    for (int c = 0; c < 4; ++c) {
      const int64_t h = window.row + r, w = window.column + c;
      pixels[4 * r + c] = h < 0 || h >= window.rows || w < 0 || w >= window.columns
                              ? nullptr
                              : window.image + (h * window.columns + w) * window.channels;
    }
  }
}

// A vector of channels of a pixel, zeros where there is no pixel or no channel. `lanes`: how many channels
// there are.
inline Vector LoadPixel(const float* pixel, int64_t lanes) {
  if (pixel == nullptr || lanes <= 0) return Splat(0.0f);
  if (lanes >= kLanes) return Load(pixel);
  float parts[kLanes] = {};
  for (int64_t i = 0; i < lanes; ++i) parts[i] = pixel[i];
  return Load(parts);
}

// Transforms channels [begin, end) of a tile, chunk by chunk: element e of chunk c goes to to + c *
// chunk_stride + e * stride. A last chunk that is not full is filled up with zeros.
inline void TransformChannels(const Window& window, int64_t begin, int64_t end, int64_t chunk_stride,
                              int64_t stride, float* to) {
  if (window.inside()) {
    const float* from = window.first() + begin;
    const int64_t pixel = window.channels, line = window.columns * window.channels;
    for (; begin + kChunk <= end; begin += kChunk, from += kChunk, to += chunk_stride) {
      for (int64_t lane = 0; lane < kChunk; lane += kLanes) {
        Vector d[kElements];
        for (int r = 0; r < 4; ++r) {
          for (int c = 0; c < 4; ++c) d[4 * r + c] = Load(from + lane + r * line + c * pixel);
        }
        TransformInput(d);
        for (int e = 0; e < kElements; ++e) Store(to + lane + e * stride, d[e]);
      }
    }
    if (begin >= end) return;
  }
  const float* pixels[kElements];
  FindPixels(window, pixels);
  for (; begin < end; begin += kChunk, to += chunk_stride) {
    for (int64_t lane = 0; lane < kChunk; lane += kLanes) {
      Vector d[kElements];
      for (int e = 0; e < kElements; ++e) {
        d[e] = LoadPixel(pixels[e] == nullptr ? nullptr : pixels[e] + begin + lane, end - begin - lane);
      }
      TransformInput(d);
      for (int e = 0; e < kElements; ++e) Store(to + lane + e * stride, d[e]);
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
