// Direct convolution. Both directions are the same sum: each pixel of the result is a sum over taps and
// channels of a copied piece of the source, in which the pixels of a result row follow each other at a
// constant stride, padding included. A tile of result pixels by two vectors of channels stays in registers
// for the whole sum.
//
//   forward   one phase; the copy sorts the source's columns by their remainder modulo the stride
//   backward  stride * stride phases: result pixels of one remainder modulo the stride see the same taps

#include "kernels/convolution.h"

#include "kernels/cpu/convolution_block.h"
#include "kernels/cpu/convolution_tile.h"
#include "kernels/cpu/image_variants.h"
#include "kernels/cpu/winograd.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// One direction of a convolution.
struct Direction {
  int64_t source_rows, source_columns, source_channels;  // of all groups
  int64_t result_rows, result_columns, result_channels;
  int64_t sums, results;  // channels of one group that are summed, and that come out
  int64_t step;           // between result pixels of a phase, in result pixels
  int64_t phases;         // in each dimension
  int64_t line;           // copied rows from one result row of a phase to the next
  int64_t first;          // source row (and column) of the copy's first, for result row 0
  int64_t reach;          // copied rows that one result row needs
  int64_t sorts;          // remainders by which the copy sorts the columns
  int64_t part;           // copied columns of one remainder
};

Direction DirectionOf(const ConvolutionShape& s, bool backward) {
  Direction d;
  const int64_t out_rows = OutHeight(s), out_columns = OutWidth(s);
  if (!backward) {
    d.source_rows = s.height, d.source_columns = s.width, d.source_channels = s.channels;
    d.result_rows = out_rows, d.result_columns = out_columns, d.result_channels = s.outputs;
    d.sums = s.channels / s.groups, d.results = s.outputs / s.groups;
    d.step = 1, d.phases = 1, d.line = s.stride;
    d.first = -s.padding, d.reach = s.kernel;
    d.sorts = s.stride, d.part = Quotient((out_columns - 1) * s.stride + s.kernel, s.stride);
    return d;
  }
  // Result row phase + step * h sees source row h + (phase + padding - kh) / step for each kh that divides.
  const int64_t before = s.kernel - 1 > s.padding ? (s.kernel - 1 - s.padding) / s.stride : 0;
  const int64_t after = (s.stride - 1 + s.padding) / s.stride;
  d.source_rows = out_rows, d.source_columns = out_columns, d.source_channels = s.outputs;
  d.result_rows = s.height, d.result_columns = s.width, d.result_channels = s.channels;
  d.sums = s.outputs / s.groups, d.results = s.channels / s.groups;
  d.step = s.stride, d.phases = s.stride, d.line = 1;
  d.first = -before, d.reach = before + 1 + after;
  d.sorts = 1, d.part = Quotient(s.width, s.stride) + before + after;
  return d;
}

void TapsOf(const ConvolutionShape& s, const Direction& d, bool backward, int64_t row_phase,
            int64_t column_phase, Taps* taps) {
  taps->count = 0;
  for (int64_t kh = 0; kh < s.kernel; ++kh) {
    for (int64_t kw = 0; kw < s.kernel; ++kw) {
      int64_t row = kh, column = kw % d.sorts * d.part + kw / d.sorts;
      if (backward) {
        const int64_t up = row_phase + s.padding - kh, left = column_phase + s.padding - kw;
        if (up % s.stride != 0 || left % s.stride != 0) continue;
        row = up / s.stride - d.first, column = left / s.stride - d.first;
      }
      taps->offset[taps->count] = (row * d.sorts * d.part + column) * kChunk;
      taps->weight[taps->count++] = kh * s.kernel + kw;
    }
  }
}

// How much is copied at once: several small images, so that the weights are read once for all of them, or
// some rows of a large one, so that the copy stays in the cache.
struct Piece {
  int64_t images, rows;  // result rows of a phase
  int64_t lines;         // copied rows
  int64_t chunk;         // floats of one chunk of channels of one image
  int64_t image;         // floats of one image
};

Piece PieceOf(const Direction& d) {
  constexpr int64_t kFloats = 65536, kPixels = 128;
  Piece piece;
  const int64_t line = d.sorts * d.part * kChunk, chunks = Quotient(d.sums, kChunk);
  const int64_t all_rows = Quotient(d.result_rows, d.step);
  const int64_t affordable = kFloats / (line * chunks);
  piece.rows = affordable > d.reach ? (affordable - d.reach) / d.line + 1 : 1;
  piece.rows = Least(piece.rows, all_rows);
  piece.lines = (piece.rows - 1) * d.line + d.reach;
  piece.chunk = piece.lines * line;
  piece.image = piece.chunk * chunks;
  piece.images = piece.rows < all_rows ? 1 : Most(1, kPixels / (d.result_rows * d.result_columns));
  return piece;
}

// Copies one group's channels of the lines from source row `first` on. Lines outside the image are zeros.
void CopyPiece(const Direction& d, const Piece& piece, int64_t first, int64_t lines, const float* source,
               float* copy) {
  for (int64_t c = 0; c < d.sums; c += kChunk, copy += piece.chunk) {
    const int64_t lanes = Least(kChunk, d.sums - c);
    float* to = copy;
    for (int64_t row = first; row < first + lines; ++row) {
      if (row < 0 || row >= d.source_rows) {
        Clear(d.sorts * d.part * kChunk, to);
        to += d.sorts * d.part * kChunk;
        continue;
      }
      const float* from = source + row * d.source_columns * d.source_channels + c;
      for (int64_t sort = 0; sort < d.sorts; ++sort) {
        int64_t column = d.first + sort;
        for (int64_t i = 0; i < d.part; ++i, column += d.sorts, to += kChunk) {
          if (column < 0 || column >= d.source_columns) {
            Clear(kChunk, to);
          } else {
            Copy(lanes, from + column * d.source_channels, to);
          }
        }
      }
    }
  }
}

void Run(const ConvolutionShape& s, bool backward, int64_t begin, int64_t end, const float* source,
         const float* packed, const ConvolutionEnd& last, bool add, float* result, float* scratch) {
  const Direction d = DirectionOf(s, backward);
  const Piece piece = PieceOf(d);
  const int64_t source_image = d.source_rows * d.source_columns * d.source_channels;
  const int64_t result_image = d.result_rows * d.result_columns * d.result_channels;
  const int64_t all_rows = Quotient(d.result_rows, d.step);
  Taps taps;
  for (int64_t image = begin; image < end; image += piece.images) {
    const int64_t images = Least(piece.images, end - image);
    for (int64_t row = 0; row < all_rows; row += piece.rows) {
      const int64_t rows = Least(piece.rows, all_rows - row);
      const float* weights = packed;
      for (int64_t group = 0; group < s.groups; ++group) {
        for (int64_t n = 0; n < images; ++n) {
          CopyPiece(d, piece, row * d.line + d.first, (rows - 1) * d.line + d.reach,
                    source + (image + n) * source_image + group * d.sums, scratch + n * piece.image);
        }
        for (int64_t block = 0; block < d.results; block += kBlock) {
          const int64_t channel = group * d.results + block, valid = Least(kBlock, d.results - block);
          for (int64_t phase = 0; phase < d.phases * d.phases; ++phase) {
            const int64_t row_phase = phase / d.phases, column_phase = phase % d.phases;
            TapsOf(s, d, backward, row_phase, column_phase, &taps);
            const Sum sum{&taps,     piece.chunk, d.sums,
                          weights,   valid,       last.bias == nullptr ? nullptr : last.bias + channel,
                          last.relu, add,         d.step * d.result_channels};
            weights += taps.count * d.sums * Padded(valid);
            const int64_t columns =
                d.result_columns > column_phase ? Quotient(d.result_columns - column_phase, d.step) : 0;
            if (columns == 0) continue;
            for (int64_t n = 0; n < images; ++n) {
              for (int64_t r = 0; r < rows; ++r) {
                const int64_t result_row = (row + r) * d.step + row_phase;
                if (result_row >= d.result_rows) break;
                const float* from = scratch + n * piece.image + r * d.line * d.sorts * d.part * kChunk;
                float* to = result + (image + n) * result_image +
                            (result_row * d.result_columns + column_phase) * d.result_channels + channel;
                if (valid > kLanes) {
                  Line<2>(sum, columns, from, to);
                } else {
                  Line<1>(sum, columns, from, to);
                }
              }
            }
          }
        }
      }
    }
  }
}

int64_t Blocks(const ConvolutionShape& s, bool backward) {
  return Quotient((backward ? s.channels : s.outputs) / s.groups, kBlock);
}

}  // namespace

int64_t ConvolutionPackedSize(const ConvolutionShape& s) {
  if (WinogradApplies(s)) return WinogradPackedSize(s);
  const auto size = [&](int64_t sums, int64_t results) {
    const int64_t tail = results % kBlock;
    return s.groups * s.kernel * s.kernel * sums * (results - tail + (tail > 0 ? Padded(tail) : 0));
  };
  const int64_t inputs = s.channels / s.groups, outputs = s.outputs / s.groups;
  return Most(size(inputs, outputs), size(outputs, inputs));
}

int64_t ConvolutionPackUnits(const ConvolutionShape& s, bool backward) {
  return s.groups * Blocks(s, backward);
}

// [group][block][phase][chunk][tap][summed channel of the chunk][channel of the block]
void ConvolutionPack(const ConvolutionShape& s, bool backward, int64_t begin, int64_t end,
                     const float* weights, float* packed) {
  if (WinogradApplies(s)) return WinogradPack(s, backward, begin, end, weights, packed);
  const Direction d = DirectionOf(s, backward);
  const int64_t blocks = Blocks(s, backward), area = s.kernel * s.kernel;
  const int64_t inputs = s.channels / s.groups, outputs = s.outputs / s.groups;
  const int64_t result_stride = backward ? area : inputs * area, sum_stride = backward ? inputs * area : area;
  const int64_t tail = d.results % kBlock;
  const int64_t group_size = area * d.sums * (d.results - tail + (tail > 0 ? Padded(tail) : 0));
  Taps taps;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t group = unit / blocks, block = unit % blocks * kBlock;
    const int64_t valid = Least(kBlock, d.results - block), width = Padded(valid);
    float* to = packed + group * group_size + block * area * d.sums;
    const float* from = weights + group * outputs * inputs * area + block * result_stride;
    for (int64_t phase = 0; phase < d.phases * d.phases; ++phase) {
      TapsOf(s, d, backward, phase / d.phases, phase % d.phases, &taps);
      for (int64_t chunk = 0; chunk < d.sums; chunk += kChunk) {
        for (int64_t tap = 0; tap < taps.count; ++tap) {
          for (int64_t k = chunk; k < Least(chunk + kChunk, d.sums); ++k, to += width) {
            const float* at = from + k * sum_stride + taps.weight[tap];
            for (int64_t n = 0; n < valid; ++n) to[n] = at[n * result_stride];
            for (int64_t n = valid; n < width; ++n) to[n] = 0.0f;
          }
        }
      }
    }
  }
}

int64_t ConvolutionScratch(const ConvolutionShape& s) {
  if (WinogradApplies(s)) return WinogradScratch(s);
  const Piece forward = PieceOf(DirectionOf(s, false)), backward = PieceOf(DirectionOf(s, true));
  return Most(forward.images * forward.image, backward.images * backward.image);
}

void ConvolutionForward(const ConvolutionShape& s, int64_t begin, int64_t end, const float* x,
                        const float* packed, const ConvolutionEnd& last, float* y, float* scratch) {
  if (WinogradApplies(s)) return WinogradRun(s, false, begin, end, x, packed, last, false, y, scratch);
  Run(s, false, begin, end, x, packed, last, false, y, scratch);
}

void ConvolutionInputGradient(const ConvolutionShape& s, int64_t begin, int64_t end, const float* dy,
                              const float* packed, bool add, float* dx, float* scratch) {
  if (WinogradApplies(s)) return WinogradRun(s, true, begin, end, dy, packed, {}, add, dx, scratch);
  Run(s, true, begin, end, dy, packed, {}, add, dx, scratch);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
