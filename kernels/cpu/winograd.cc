#include "kernels/cpu/winograd.h"

#include "kernels/cpu/convolution_tile.h"
#include "kernels/cpu/winograd_tile.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// One direction: the gradient of the input is the convolution of dy with the flipped weights.
struct Direction {
  int64_t source_rows, source_columns, sums;     // sums: channels of the source
  int64_t result_rows, result_columns, results;  // results: channels of the result
  int64_t padding;
  Tiles tiles;  // of an image
};

Direction DirectionOf(const ConvolutionShape& s, bool backward) {
  const int64_t rows = OutHeight(s), columns = OutWidth(s);
  Direction d = {s.height, s.width, s.channels, rows, columns, s.outputs, s.padding, {}};
  if (backward) d = {rows, columns, s.outputs, s.height, s.width, s.channels, 2 - s.padding, {}};
  d.tiles = {Quotient(d.result_rows, 2), Quotient(d.result_columns, 2)};
  return d;
}

// Tiles that are transformed at once: their transforms stay in the cache, and the weights are read once for
// all of them.
int64_t TilesAtOnce(const Direction& d) { return Most(56, 8192 / d.sums); }

// Floats between the elements of transformed tiles. A line more than they take: a power of two would put all
// 16 elements that a tile writes into one set of the cache.
int64_t ElementStride(const Direction& d, int64_t tiles) {
  return Quotient(d.sums, kChunk) * tiles * kChunk + kChunk;
}

// Tiles [first, first + count) of the images from `source` on: [element][chunk][tile][channel].
void TransformTiles(const Direction& d, int64_t first, int64_t count, const float* source, float* to) {
  const int64_t stride = ElementStride(d, count);
  TilePlace place(d.tiles, first);
  for (int64_t t = 0; t < count; ++t, place.Next()) {
    const Window window{source + place.image * d.source_rows * d.source_columns * d.sums,
                        d.source_rows,
                        d.source_columns,
                        d.sums,
                        place.row - d.padding,
                        place.column - d.padding};
    TransformChannels(window, 0, d.sums, count * kChunk, stride, to + t * kChunk);
  }
}

// The results of one block of channels: products are [element][tile][kBlock], `stride` between elements.
void FinishTiles(const Direction& d, const Sum& sum, int64_t block, int64_t first, int64_t count,
                 int64_t stride, const float* products, float* result) {
  TilePlace place(d.tiles, first);
  for (int64_t t = 0; t < count; ++t, place.Next()) {
    const int64_t row = place.row, column = place.column;
    float* to =
        result + ((place.image * d.result_rows + row) * d.result_columns + column) * d.results + block;
    for (int64_t lane = 0; lane < Padded(sum.valid); lane += kLanes) {
      Vector m[kElements], y[4];
      for (int e = 0; e < kElements; ++e) m[e] = Load(products + e * stride + t * kBlock + lane);
      TransformOutput(m, y);
      for (int r = 0; r < 2 && row + r < d.result_rows; ++r) {
        for (int c = 0; c < 2 && column + c < d.result_columns; ++c) {
          Finish(sum, lane, y[2 * r + c], to + (r * d.result_columns + c) * d.results);
        }
      }
    }
  }
}

int64_t PaddedTotal(int64_t results) {
  const int64_t tail = results % kBlock;
  return results - tail + (tail > 0 ? Padded(tail) : 0);
}

}  // namespace

bool WinogradApplies(const ConvolutionShape& s) {
  return s.kernel == 3 && s.stride == 1 && s.groups == 1 && s.padding <= 2 && s.channels >= 16 &&
         s.outputs >= 16 && OutHeight(s) >= 3 && OutWidth(s) >= 3;
}

int64_t WinogradPackedSize(const ConvolutionShape& s) {
  return kElements * Most(s.channels * PaddedTotal(s.outputs), s.outputs * PaddedTotal(s.channels));
}

// [block][element][summed channel][channel of the block]
void WinogradPack(const ConvolutionShape& s, bool backward, int64_t begin, int64_t end, const float* weights,
                  float* packed) {
  const Direction d = DirectionOf(s, backward);
  const int64_t result_stride = backward ? 9 : s.channels * 9, sum_stride = backward ? s.channels * 9 : 9;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t block = unit * kBlock, valid = Least(kBlock, d.results - block), width = Padded(valid);
    float* to = packed + block * d.sums * kElements;
    float lanes[9][kBlock] = {};
    for (int64_t k = 0; k < d.sums; ++k, to += width) {
      for (int64_t n = 0; n < valid; ++n) {
        const float* from = weights + (block + n) * result_stride + k * sum_stride;
        for (int tap = 0; tap < 9; ++tap) lanes[tap][n] = from[backward ? 8 - tap : tap];
      }
      for (int64_t lane = 0; lane < width; lane += kLanes) {
        Vector g[9], u[kElements];
        for (int tap = 0; tap < 9; ++tap) g[tap] = Load(lanes[tap] + lane);
        TransformWeights(g, u);
        for (int e = 0; e < kElements; ++e) Store(to + e * d.sums * width + lane, u[e]);
      }
    }
  }
}

int64_t WinogradScratch(const ConvolutionShape& s) {
  const auto size = [](const Direction& d) {
    const int64_t tiles = TilesAtOnce(d);
    return kElements * (ElementStride(d, tiles) + tiles * kBlock + kChunk);
  };
  return Most(size(DirectionOf(s, false)), size(DirectionOf(s, true)));
}

void WinogradRun(const ConvolutionShape& s, bool backward, int64_t begin, int64_t end, const float* source,
                 const float* packed, const ConvolutionEnd& last, bool add, float* result, float* scratch) {
  const Direction d = DirectionOf(s, backward);
  source += begin * d.source_rows * d.source_columns * d.sums;
  result += begin * d.result_rows * d.result_columns * d.results;
  Taps tap;
  tap.count = 1, tap.offset[0] = 0;
  // Portions of nearly one size.
  int64_t left = (end - begin) * d.tiles.count(), first = 0;
  for (int64_t portions = Quotient(left, TilesAtOnce(d)); portions > 0; --portions) {
    const int64_t count = Quotient(left, portions), stride = ElementStride(d, count);
    const int64_t product_stride = count * kBlock + kChunk;
    float* const products = scratch + kElements * stride;
    TransformTiles(d, first, count, source, scratch);
    for (int64_t block = 0; block < d.results; block += kBlock) {
      const int64_t valid = Least(kBlock, d.results - block), width = Padded(valid);
      Sum sum{&tap, count * kChunk, d.sums, nullptr, kBlock, nullptr, false, false, kBlock};
      for (int e = 0; e < kElements; ++e) {
        sum.weights = packed + (block * kElements + e * width) * d.sums;
        if (width > kLanes) {
          Line<2>(sum, count, scratch + e * stride, products + e * product_stride);
        } else {
          Line<1>(sum, count, scratch + e * stride, products + e * product_stride);
        }
      }
      const Sum finish{&tap,      0,   0, nullptr, valid, last.bias == nullptr ? nullptr : last.bias + block,
                       last.relu, add, 0};
      FinishTiles(d, finish, block, first, count, product_stride, products, result);
    }
    first += count, left -= count;
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
