#include "kernels/cuda/arrange.h"
#include "kernels/cuda/convolution.h"
#include "kernels/cuda/product.h"
#include "kernels/cuda/shard_product.h"
#include "kernels/cuda/tensor_tile.h"

namespace lockstep::kernels::cuda {
namespace {

// What each pixel of one image (the lines') sees of another (the source), as a matrix that is never written:
// (pixels, kernel * kernel * channels), zero where a window leaves the source. `backward`: the lines are the
// convolution's input and the source its output's gradient.
struct Patches {
  const float* data;
  int64_t extent;  // lines: pixels where k is a column, else columns
  bool along_k;    // a column is k, else a pixel is
  bool four;       // four columns lie side by side
  int line_height, line_width, height, width, stride_of_pixel, channels, kernel, stride, padding;
  bool backward;

  __device__ Pack<4> Four(int64_t line, int64_t k, int64_t end) const {
    const int64_t pixel = along_k ? line : k, column = along_k ? k : line;
    const int64_t left = along_k ? (line < extent ? end - k : 0) : (k < end ? extent - line : 0);
    if (four && left >= 4) {
      const float* const at = At(pixel, static_cast<int>(column));
      if (at != nullptr) return Load<4>(at);
      return Pack<4>{};
    }
    Pack<4> pack = {};
    for (int i = 0; i < 4; ++i) {
      if (i >= left) break;
      const float* const at = At(pixel, static_cast<int>(column) + i);
      if (at != nullptr) pack[i] = *at;
    }
    return pack;
  }

 private:
  // Null outside the source.
  __device__ const float* At(int64_t pixel, int column) const {
    const int index = static_cast<int>(pixel);
    const int c = index % line_width, r = index / line_width % line_height;
    const int image = index / line_width / line_height;
    const int channel = column % channels, tap = column / channels;
    int h = Source(r, tap / kernel), w = Source(c, tap % kernel);
    if (h < 0 || h >= height || w < 0 || w >= width) return nullptr;
    return data + ((int64_t{image} * height + h) * width + w) * stride_of_pixel + channel;
  }
  // Where tap `t` of line `at` lies; negative: nowhere.
  __device__ int Source(int at, int t) const {
    if (!backward) return at * stride + t - padding;
    const int from = at + padding - t;
    return from >= 0 && from % stride == 0 ? from / stride : -1;
  }
};

struct Sizes {
  explicit Sizes(const ConvolutionShape& s)
      : out_height(ConvolvedExtent(s.height, s.kernel, s.stride, s.padding)),
        out_width(ConvolvedExtent(s.width, s.kernel, s.stride, s.padding)),
        inputs(s.channels / s.groups),
        outputs(s.outputs / s.groups),
        taps(s.kernel * s.kernel) {}
  int64_t out_height, out_width;
  int64_t inputs, outputs;  // channels of a group
  int64_t taps;
};

// Of group g: what the output's pixels see of x, or with `backward` the input's of dy.
Patches PatchesOf(const ConvolutionShape& shape, const Sizes& sizes, bool backward, int64_t g,
                  const float* source) {
  const auto out_height = static_cast<int>(sizes.out_height), out_width = static_cast<int>(sizes.out_width);
  const auto height = static_cast<int>(shape.height), width = static_cast<int>(shape.width);
  const int64_t channels = backward ? sizes.outputs : sizes.inputs;
  const int64_t all = backward ? shape.outputs : shape.channels;
  Patches patches;
  patches.data = source + g * channels;
  patches.extent = 0;
  patches.along_k = true;
  patches.four = channels % 4 == 0 && all % 4 == 0 && FourAtATime(patches.data);
  patches.line_height = backward ? height : out_height;
  patches.line_width = backward ? width : out_width;
  patches.height = backward ? out_height : height;
  patches.width = backward ? out_width : width;
  patches.stride_of_pixel = static_cast<int>(all);
  patches.channels = static_cast<int>(channels);
  patches.kernel = static_cast<int>(shape.kernel);
  patches.stride = static_cast<int>(shape.stride);
  patches.padding = static_cast<int>(shape.padding);
  patches.backward = backward;
  return patches;
}

auto TilesOf(GemmType type) {
  return type == GemmType::kBf16 ? MultiplyTiles<TensorTile, Patches, Operand>
                                 : MultiplyTiles<ProductTile, Patches, Operand>;
}

}  // namespace

int64_t ConvolutionPackedSize(const ConvolutionShape& shape) {
  return shape.outputs * shape.channels / shape.groups * shape.kernel * shape.kernel;
}

// (o, i, taps) of each group to (o, taps, i), or backward to (taps, o, i).
Launched ConvolutionPack(const ConvolutionShape& shape, bool backward, const float* weights, float* packed,
                         Stream stream) {
  const Sizes sizes(shape);
  const Permutation forward{3, {sizes.outputs, sizes.inputs, sizes.taps}, {0, 2, 1}};
  const Permutation back{3, {sizes.outputs, sizes.inputs, sizes.taps}, {2, 0, 1}};
  return Permute(backward ? back : forward, shape.groups, weights, false, packed, stream);
}

Launched ConvolutionForward(GemmType type, const ConvolutionShape& shape, int64_t rows, const float* x,
                            const float* packed, float* y, Stream stream) {
  const Sizes sizes(shape);
  const int64_t columns = sizes.taps * sizes.inputs;
  for (int64_t g = 0; g < shape.groups; ++g) {
    Patches a = PatchesOf(shape, sizes, false, g, x);
    a.extent = rows * sizes.out_height * sizes.out_width;
    const Operand b = OperandOf(packed + g * sizes.outputs * columns, columns, sizes.outputs, true);
    const Launched launched = TilesOf(type)("ConvolutionForward", a, b, columns, y + g * sizes.outputs,
                                            shape.outputs, false, stream);
    if (!launched.ok()) return launched;
  }
  return {};
}

Launched ConvolutionInputGradient(GemmType type, const ConvolutionShape& shape, int64_t rows, const float* dy,
                                  const float* packed, bool add, float* dx, Stream stream) {
  const Sizes sizes(shape);
  const int64_t columns = sizes.taps * sizes.outputs;
  for (int64_t g = 0; g < shape.groups; ++g) {
    Patches a = PatchesOf(shape, sizes, true, g, dy);
    a.extent = rows * shape.height * shape.width;
    const Operand b = OperandOf(packed + g * columns * sizes.inputs, sizes.inputs, sizes.inputs, false);
    const Launched launched = TilesOf(type)("ConvolutionInputGradient", a, b, columns, dx + g * sizes.inputs,
                                            shape.channels, add, stream);
    if (!launched.ok()) return launched;
  }
  return {};
}

// The nodes' sums as they are computed, and what that needs.
int64_t ConvolutionWeightScratch(const ConvolutionShape& shape, int shards, int nodes) {
  const Sizes sizes(shape);
  const int64_t columns = sizes.taps * sizes.inputs;
  return nodes * sizes.outputs * columns + ShardProductScratch(sizes.outputs, columns, shards);
}

Launched ConvolutionWeightGradient(GemmType type, const ConvolutionShape& shape, const DeviceTree& tree,
                                   const float* x, const float* dy, float* dw, int64_t node_stride,
                                   float* scratch, Stream stream) {
  const Sizes sizes(shape);
  const int64_t columns = sizes.taps * sizes.inputs, size = sizes.outputs * columns;
  DeviceTree pixels = tree;
  pixels.positions *= static_cast<int>(sizes.out_height * sizes.out_width);
  const Permutation unpack{3, {sizes.outputs, sizes.taps, sizes.inputs}, {0, 2, 1}};
  for (int64_t g = 0; g < shape.groups; ++g) {
    const Operand a = OperandOf(dy + g * sizes.outputs, shape.outputs, sizes.outputs, false);
    Patches b = PatchesOf(shape, sizes, false, g, x);
    b.extent = columns;
    b.along_k = false;
    const auto sum = type == GemmType::kBf16 ? SumShardProducts<TensorTile, Operand, Patches, NoLeafRows>
                                             : SumShardProducts<ProductTile, Operand, Patches, NoLeafRows>;
    Launched launched = sum("ConvolutionWeightGradient", pixels, a, b, NoLeafRows(), scratch, size,
                            scratch + tree.nodes * size, stream);
    for (int node = 0; node < tree.nodes && launched.ok(); ++node) {
      launched = Permute(unpack, 1, scratch + node * size, false, dw + node * node_stride + g * size, stream);
    }
    if (!launched.ok()) return launched;
  }
  return {};
}

}  // namespace lockstep::kernels::cuda
