// The weight gradient of a convolution. A unit is 16 input channels by one block of output channels, all
// taps: small enough that the sums of a shard and the open subtrees of the reduction tree stay in the cache.
// Within a unit, a tile of eight (input channel, tap) pairs by two vectors of output channels is summed over
// the pixels in registers.

#include "kernels/convolution.h"
#include "kernels/cpu/convolution_block.h"
#include "kernels/cpu/convolution_tree.h"
#include "kernels/cpu/image_variants.h"
#include "kernels/cpu/winograd.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kTileRows = kLanes == 16 ? 8 : 4;

// A unit's place, and how its images are cut into pieces of some result rows that stay in the cache.
struct Unit {
  int64_t group, input, inputs;  // first input channel within the group, and how many
  int64_t output, outputs;       // first output channel within the group, and how many
  int64_t pairs;                 // inputs * taps: rows of its sums
};

struct Piece {
  int64_t rows;            // result rows
  int64_t lines, columns;  // copied input rows and columns, padding included
};

Piece PieceOf(const ConvolutionShape& s) {
  constexpr int64_t kFloats = 32768;
  const int64_t out_rows = OutHeight(s), out_columns = OutWidth(s);
  Piece piece;
  piece.columns = (out_columns - 1) * s.stride + s.kernel;
  const int64_t line = piece.columns * kChunk;
  piece.rows = Least(out_rows, Most(1, kFloats / Most(out_columns * kBlock, s.stride * line)));
  piece.lines = (piece.rows - 1) * s.stride + s.kernel;
  return piece;
}

int64_t Chunks(const ConvolutionShape& s) { return Quotient(s.channels / s.groups, kChunk); }
int64_t Blocks(const ConvolutionShape& s) { return Quotient(s.outputs / s.groups, kBlock); }

Unit UnitOf(const ConvolutionShape& s, int64_t number) {
  Unit unit;
  const int64_t chunk = number % Chunks(s), block = number / Chunks(s) % Blocks(s);
  unit.group = number / Chunks(s) / Blocks(s);
  unit.input = chunk * kChunk, unit.inputs = Least(kChunk, s.channels / s.groups - unit.input);
  unit.output = block * kBlock, unit.outputs = Least(kBlock, s.outputs / s.groups - unit.output);
  unit.pairs = unit.inputs * s.kernel * s.kernel;
  return unit;
}

// The unit's input channels of the padded lines from `first` on: (lines, columns, inputs).
void CopyInput(const ConvolutionShape& s, const Unit& unit, const Piece& piece, int64_t first, int64_t lines,
               const float* image, float* to) {
  image += unit.group * (s.channels / s.groups) + unit.input;
  for (int64_t row = first; row < first + lines; ++row) {
    for (int64_t column = -s.padding; column < piece.columns - s.padding; ++column, to += unit.inputs) {
      if (row < 0 || row >= s.height || column < 0 || column >= s.width) {
        Clear(unit.inputs, to);
      } else {
        Copy(unit.inputs, image + (row * s.width + column) * s.channels, to);
      }
    }
  }
}

// The unit's output channels of `pixels` pixels: (pixels, kBlock), zeros beyond the real ones.
void CopyGradient(const ConvolutionShape& s, const Unit& unit, int64_t pixels, const float* dy, float* to) {
  dy += unit.group * (s.outputs / s.groups) + unit.output;
  for (int64_t p = 0; p < pixels; ++p, dy += s.outputs, to += kBlock) {
    Copy(unit.outputs, dy, to);
    if (unit.outputs < kBlock) Clear(kBlock - unit.outputs, to + unit.outputs);
  }
}

struct Operands {
  const float* input;     // CopyInput's
  const float* gradient;  // CopyGradient's
  int64_t rows, columns;  // of the gradient
  int64_t pixel, line;    // floats of input from one result pixel and row to the next
};

// sums[k][:] += over the pixels: input[offset[k]] * gradient[:], for kRows rows of sums.
template <int kRows>
void Tile(const Operands& op, const int64_t* offsets, bool fresh, float* sums) {
  Vector total[kRows][2];
  int64_t offset[kRows];
  for (int k = 0; k < kRows; ++k) {
    offset[k] = offsets[k];
    for (int v = 0; v < 2; ++v) total[k][v] = fresh ? Splat(0.0f) : Load(sums + k * kBlock + v * kLanes);
  }
  const float* gradient = op.gradient;
  for (int64_t row = 0; row < op.rows; ++row) {
    const float* input = op.input + row * op.line;
    for (int64_t column = 0; column < op.columns; ++column, input += op.pixel, gradient += kBlock) {
      const Vector left = Load(gradient), right = Load(gradient + kLanes);
      for (int k = 0; k < kRows; ++k) {
        const Vector pixel = Splat(input[offset[k]]);
        total[k][0] = MultiplyAdd(pixel, left, total[k][0]);
        total[k][1] = MultiplyAdd(pixel, right, total[k][1]);
      }
    }
  }
  for (int k = 0; k < kRows; ++k) {
    for (int v = 0; v < 2; ++v) Store(sums + k * kBlock + v * kLanes, total[k][v]);
  }
}

void AddPiece(const Operands& op, int64_t pairs, const int64_t* offsets, bool fresh, float* sums) {
  using Function = void (*)(const Operands&, const int64_t*, bool, float*);
#if defined(__AVX512F__)
  static constexpr Function kTiles[kTileRows] = {Tile<1>, Tile<2>, Tile<3>, Tile<4>,
                                                 Tile<5>, Tile<6>, Tile<7>, Tile<8>};
#else
  static constexpr Function kTiles[kTileRows] = {Tile<1>, Tile<2>, Tile<3>, Tile<4>};
#endif
  for (int64_t tiles = Quotient(pairs, kTileRows); tiles > 0; --tiles) {
    const int64_t rows = Quotient(pairs, tiles);
    kTiles[rows - 1](op, offsets, fresh, sums);
    offsets += rows;
    sums += rows * kBlock;
    pairs -= rows;
  }
}

// The bias gradient's share: column sums of the gradient, in order.
void AddBias(int64_t pixels, bool fresh, const float* gradient, float* sums) {
  for (int64_t v = 0; v < kBlock; v += kLanes) {
    Vector total = fresh ? Splat(0.0f) : Load(sums + v);
    for (int64_t p = 0; p < pixels; ++p) total = Add(total, Load(gradient + p * kBlock + v));
    Store(sums + v, total);
  }
}

// A row of sums for the bias follows those of the pairs.
int64_t SumsSize(const ConvolutionShape& s) {
  return (Least(kChunk, s.channels / s.groups) * s.kernel * s.kernel + 1) * kBlock;
}

void RunUnit(const ConvolutionShape& s, const ShardTree& tree, int64_t number, const float* x,
             const float* dy, float* dw, float* db, int64_t node_stride, float* scratch) {
  const Unit unit = UnitOf(s, number);
  const Piece piece = PieceOf(s);
  const int64_t out_rows = OutHeight(s), out_columns = OutWidth(s), area = s.kernel * s.kernel;
  const bool with_bias = db != nullptr && unit.input == 0;
  const int64_t size = (unit.pairs + (with_bias ? 1 : 0)) * kBlock;
  float* const input = scratch;
  float* const gradient = input + piece.lines * piece.columns * kChunk;
  float* const stack = gradient + piece.rows * out_columns * kBlock;  // the tree's open subtrees
  int64_t offsets[kChunk * kMaxTaps];
  for (int64_t pair = 0; pair < unit.pairs; ++pair) {
    const int64_t tap = pair % area;
    offsets[pair] = (tap / s.kernel * piece.columns + tap % s.kernel) * unit.inputs + pair / area;
  }
  const auto leaf = [&](int shard, float* sums) {
    bool fresh = true;
    for (int64_t n = int64_t{shard} * tree.rows_per_shard, last = n + tree.rows[shard]; n < last; ++n) {
      for (int64_t row = 0; row < out_rows; row += piece.rows, fresh = false) {
        const int64_t rows = Least(piece.rows, out_rows - row);
        CopyInput(s, unit, piece, row * s.stride - s.padding, (rows - 1) * s.stride + s.kernel,
                  x + n * s.height * s.width * s.channels, input);
        CopyGradient(s, unit, rows * out_columns, dy + (n * out_rows + row) * out_columns * s.outputs,
                     gradient);
        const Operands op{input,
                          gradient,
                          rows,
                          out_columns,
                          s.stride * unit.inputs,
                          s.stride * piece.columns * unit.inputs};
        AddPiece(op, unit.pairs, offsets, fresh, sums);
        if (with_bias) AddBias(rows * out_columns, fresh, gradient, sums + unit.pairs * kBlock);
      }
    }
    if (fresh) Clear(size, sums);  // a shard without rows
  };
  const int64_t first_output = unit.group * (s.outputs / s.groups) + unit.output,
                inputs = s.channels / s.groups;
  SumTree(tree, size, stack, leaf, [&](int node, const float* sums) {
    float* out = dw + node * node_stride + (first_output * inputs + unit.input) * area;
    for (int64_t o = 0; o < unit.outputs; ++o, out += inputs * area) {
      for (int64_t pair = 0; pair < unit.pairs; ++pair) out[pair] = sums[pair * kBlock + o];
    }
    if (with_bias) Copy(unit.outputs, sums + unit.pairs * kBlock, db + node * node_stride + first_output);
  });
}

}  // namespace

int64_t ConvolutionWeightUnits(const ConvolutionShape& s) {
  if (WinogradApplies(s)) return WinogradWeightUnits(s);
  return s.groups * Blocks(s) * Chunks(s);
}

int64_t ConvolutionWeightScratch(const ConvolutionShape& s, int64_t shards) {
  if (WinogradApplies(s)) return WinogradWeightScratch(s, shards);
  const Piece piece = PieceOf(s);
  return piece.lines * piece.columns * kChunk + piece.rows * OutWidth(s) * kBlock +
         Depth(shards) * SumsSize(s);
}

void ConvolutionWeightGradient(const ConvolutionShape& s, const ShardTree& tree, int64_t begin, int64_t end,
                               const float* x, const float* dy, float* dw, float* db, int64_t node_stride,
                               float* scratch) {
  if (WinogradApplies(s)) {
    return WinogradWeightGradient(s, tree, begin, end, x, dy, dw, db, node_stride, scratch);
  }
  for (int64_t unit = begin; unit < end; ++unit) {
    RunUnit(s, tree, unit, x, dy, dw, db, node_stride, scratch);
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
