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

// A tile's input channels of the unit: [element][tile][kInputs].
void TransformInputs(const ConvolutionShape& s, const Unit& unit, const Tiles& tiles, const float* image,
                     int64_t tile, float* to) {
  const float* pixels[kElements];
  const bool inside = FindInput(image, s.height, s.width, s.channels, tile / tiles.columns * 2 - s.padding,
                                tile % tiles.columns * 2 - s.padding, pixels);
  const int64_t end = unit.input + unit.inputs;
  for (int64_t c = unit.input; c < end; c += kChunk) {
    TransformChunk(pixels, inside, c, end, kInputStride, to + c - unit.input);
  }
}

// Its gradient's channels: [element][tile][kBlock].
void TransformGradients(const ConvolutionShape& s, const Unit& unit, const Tiles& tiles, const float* image,
                        int64_t tile, float* to) {
  const int64_t rows = OutHeight(s), columns = OutWidth(s);
  const int64_t row = tile / tiles.columns * 2, column = tile % tiles.columns * 2;
  for (int64_t lane = 0; lane < kBlock; lane += kLanes) {
    Vector y[4], z[kElements];
    for (int i = 0; i < 4; ++i) {
      const int64_t r = row + i / 2, c = column + i % 2;
      const bool inside = r < rows && c < columns;
      y[i] = LoadPixel(inside ? image + (r * columns + c) * s.outputs + unit.output + lane : nullptr,
                       unit.outputs - lane);
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
  const int64_t in_image = s.height * s.width * s.channels, out_pixels = OutHeight(s) * OutWidth(s);
  const int64_t pairs = unit.inputs * 9, size = (pairs + (with_bias ? 1 : 0)) * kBlock;
  const Tiles tiles = {Quotient(OutHeight(s), 2), Quotient(OutWidth(s), 2)};
  float* const input = scratch;
  float* const gradient = input + kInputSize;
  float* const products = gradient + kGradientSize;
  float* const stack = products + kSumsSize;
  const auto leaf = [&](int shard, float* sums) {
    const int64_t row = int64_t{shard} * tree.rows_per_shard, all = tree.rows[shard] * tiles.count();
    if (all == 0) return Clear(size, sums);
    for (int64_t first = 0; first < all; first += kTilesAtOnce) {
      const int64_t count = Least(kTilesAtOnce, all - first);
      for (int64_t t = 0; t < count; ++t) {
        const int64_t n = row + (first + t) / tiles.count(), tile = (first + t) % tiles.count();
        TransformInputs(s, unit, tiles, x + n * in_image, tile, input + t * kInputs);
        TransformGradients(s, unit, tiles, dy + n * out_pixels * s.outputs, tile, gradient + t * kBlock);
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
      SumBias(s, unit, tree.rows[shard] * out_pixels, dy + row * out_pixels * s.outputs,
              sums + pairs * kBlock);
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
