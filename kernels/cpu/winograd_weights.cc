// The weight gradient. A unit is 32 input channels by one block of output channels: the sums of a shard,
// transformed (16 elements) and not (9 taps), and the open subtrees stay in the cache.

#include "kernels/cpu/convolution_tree.h"
#include "kernels/cpu/winograd.h"
#include "kernels/cpu/winograd_tile.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int64_t kInputs = 2 * kChunk;
constexpr int64_t kTilesAtOnce = 64;
constexpr int kTileRows = kLanes == 16 ? 8 : 4;
// Floats between the elements. A line more than they take, so that the elements of a tile do not share a set
// of the cache.
constexpr int64_t kInputStride = kTilesAtOnce * kInputs + kChunk,
                  kGradientStride = kTilesAtOnce * kBlock + kChunk;

struct Unit {
  int64_t input, inputs, output, outputs;  // first channel, and how many
};

Unit UnitOf(const ConvolutionShape& s, int64_t number) {
  const int64_t parts = Quotient(s.channels, kInputs);
  const int64_t input = number % parts * kInputs, output = number / parts * kBlock;
  return {input, Least(kInputs, s.channels - input), output, Least(kBlock, s.outputs - output)};
}

// sums[i][:] += over the tiles: input[tile][i] * gradient[tile][:], for kTileRows channels i.
void AddProducts(int64_t tiles, const float* input, const float* gradient, bool fresh, float* sums) {
  Vector total[kTileRows][2];
  for (int i = 0; i < kTileRows; ++i) {
    for (int v = 0; v < 2; ++v) total[i][v] = fresh ? Splat(0.0f) : Load(sums + i * kBlock + v * kLanes);
  }
  for (int64_t t = 0; t < tiles; ++t, input += kInputs, gradient += kBlock) {
    const Vector left = Load(gradient), right = Load(gradient + kLanes);
    for (int i = 0; i < kTileRows; ++i) {
      const Vector value = Splat(input[i]);
      total[i][0] = MultiplyAdd(value, left, total[i][0]);
      total[i][1] = MultiplyAdd(value, right, total[i][1]);
    }
  }
  for (int i = 0; i < kTileRows; ++i) {
    for (int v = 0; v < 2; ++v) Store(sums + i * kBlock + v * kLanes, total[i][v]);
  }
}

// A tile's gradient, the unit's channels: [element][tile][kBlock].
void TransformGradients(const ConvolutionShape& s, const Unit& unit, int64_t rows, int64_t columns,
                        const TilePlace& place, const float* dy, float* to) {
  const float* const from =
      dy + ((place.image * rows + place.row) * columns + place.column) * s.outputs + unit.output;
  const int64_t line = columns * s.outputs;
  const bool right = place.column + 1 < columns, below = place.row + 1 < rows;
  for (int64_t lane = 0; lane < kBlock; lane += kLanes) {
    Vector y[4], z[kElements];
    if (right && below && unit.outputs >= lane + kLanes) {
      y[0] = Load(from + lane), y[1] = Load(from + lane + s.outputs);
      y[2] = Load(from + lane + line), y[3] = Load(from + lane + line + s.outputs);
    } else {
      const int64_t lanes = unit.outputs - lane;
      y[0] = LoadPixel(from + lane, lanes);
      y[1] = LoadPixel(right ? from + lane + s.outputs : nullptr, lanes);
      y[2] = LoadPixel(below ? from + lane + line : nullptr, lanes);
      y[3] = LoadPixel(right && below ? from + lane + line + s.outputs : nullptr, lanes);
    }
    TransformGradient(y, z);
    for (int e = 0; e < kElements; ++e) Store(to + e * kGradientStride + lane, z[e]);
  }
}

// Sums of a shard's gradient over its pixels, in order.
void SumBias(const ConvolutionShape& s, const Unit& unit, int64_t pixels, const float* dy, float* sums) {
  for (int64_t lane = 0; lane < kBlock; lane += kLanes) {
    Vector total = Splat(0.0f);
    for (int64_t p = 0; p < pixels; ++p) {
      total = Add(total, LoadPixel(dy + p * s.outputs + unit.output + lane, unit.outputs - lane));
    }
    Store(sums + lane, total);
  }
}

// From [element][input][kBlock] to [input][tap][kBlock].
void TransformSums(int64_t inputs, const float* sums, float* taps) {
  for (int64_t i = 0; i < inputs; ++i) {
    for (int64_t lane = 0; lane < kBlock; lane += kLanes) {
      Vector u[kElements], g[9];
      for (int e = 0; e < kElements; ++e) u[e] = Load(sums + (e * kInputs + i) * kBlock + lane);
      TransformWeightGradient(u, g);
      for (int tap = 0; tap < 9; ++tap) Store(taps + (i * 9 + tap) * kBlock + lane, g[tap]);
    }
  }
}

constexpr int64_t kInputSize = kElements * kInputStride, kGradientSize = kElements * kGradientStride;
constexpr int64_t kSumsSize = kElements * kInputs * kBlock;

void RunUnit(const ConvolutionShape& s, const ShardTree& tree, int64_t number, const float* x,
             const float* dy, float* dw, float* db, int64_t node_stride, float* scratch) {
  const Unit unit = UnitOf(s, number);
  const bool with_bias = db != nullptr && unit.input == 0;
  const int64_t in_image = s.height * s.width * s.channels;
  const int64_t out_rows = OutHeight(s), out_columns = OutWidth(s);
  const int64_t pairs = unit.inputs * 9, size = (pairs + (with_bias ? 1 : 0)) * kBlock;
  const Tiles tiles = {Quotient(out_rows, 2), Quotient(out_columns, 2)};
  float* const input = scratch;
  float* const gradient = input + kInputSize;
  float* const products = gradient + kGradientSize;
  float* const stack = products + kSumsSize;
  const auto leaf = [&](int shard, float* sums) {
    const int64_t row = int64_t{shard} * tree.rows_per_shard, all = tree.rows[shard] * tiles.count();
    if (all == 0) return Clear(size, sums);
    const float* const shard_x = x + row * in_image;
    const float* const shard_dy = dy + row * out_rows * out_columns * s.outputs;
    TilePlace place(tiles, 0);
    for (int64_t first = 0; first < all; first += kTilesAtOnce) {
      const int64_t count = Least(kTilesAtOnce, all - first);
      for (int64_t t = 0; t < count; ++t, place.Next()) {
        const Window window{
            shard_x + place.image * in_image, s.height, s.width, s.channels, place.row - s.padding,
            place.column - s.padding};
        TransformChannels(window, unit.input, unit.input + unit.inputs, kChunk, kInputStride,
                          input + t * kInputs);
        TransformGradients(s, unit, out_rows, out_columns, place, shard_dy, gradient + t * kBlock);
      }
      for (int e = 0; e < kElements; ++e) {
        for (int64_t i = 0; i < unit.inputs; i += kTileRows) {
          AddProducts(count, input + e * kInputStride + i, gradient + e * kGradientStride, first == 0,
                      products + (e * kInputs + i) * kBlock);
        }
      }
    }
    TransformSums(unit.inputs, products, sums);
    if (with_bias) {
      SumBias(s, unit, tree.rows[shard] * out_rows * out_columns, shard_dy, sums + pairs * kBlock);
    }
  };
  SumTree(tree, size, stack, leaf, [&](int node, const float* sums) {
    float* out = dw + node * node_stride + (unit.output * s.channels + unit.input) * 9;
    for (int64_t o = 0; o < unit.outputs; ++o, out += s.channels * 9) {
      for (int64_t pair = 0; pair < pairs; ++pair) out[pair] = sums[pair * kBlock + o];
    }
    if (with_bias) Copy(unit.outputs, sums + pairs * kBlock, db + node * node_stride + unit.output);
  });
}

}  // namespace

int64_t WinogradWeightUnits(const ConvolutionShape& s) {
  return Quotient(s.channels, kInputs) * Quotient(s.outputs, kBlock);
}

int64_t WinogradWeightScratch(const ConvolutionShape&, int64_t shards) {
  return kInputSize + kGradientSize + kSumsSize + Depth(shards) * (kInputs * 9 + 1) * kBlock;
}

void WinogradWeightGradient(const ConvolutionShape& s, const ShardTree& tree, int64_t begin, int64_t end,
                            const float* x, const float* dy, float* dw, float* db, int64_t node_stride,
                            float* scratch) {
  for (int64_t unit = begin; unit < end; ++unit) {
    RunUnit(s, tree, unit, x, dy, dw, db, node_stride, scratch);
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
