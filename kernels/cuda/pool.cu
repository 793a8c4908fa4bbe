#include "kernels/cuda/pack.h"
#include "kernels/cuda/pool.h"

namespace lockstep::kernels::cuda {
namespace {

template <int kCount>
struct alignas(kCount) Taps {
  uint8_t value[kCount];
};

int64_t PooledExtent(int64_t extent, const PoolShape& s) {
  return (extent + 2 * s.padding - s.kernel) / s.stride + 1;
}

// One item is kCount channels of a pixel: its image, place and first channel.
struct PoolItem {
  int64_t image, row, column, channel;
  __device__ PoolItem(int64_t i, int64_t height, int64_t width, int64_t packs, int count)
      : image(i / packs / width / height),
        row(i / packs / width % height),
        column(i / packs % width),
        channel(i % packs * count) {}
};

// Calls each(pixel of x, tap) for the pixels of an output's window that lie inside the image, row-major.
template <class Each>
__device__ void ForWindow(const PoolShape& s, const PoolItem& out, const Each& each) {
  for (int64_t kh = 0; kh < s.kernel; ++kh) {
    const int64_t h = out.row * s.stride + kh - s.padding;
    if (h < 0 || h >= s.height) continue;
    for (int64_t kw = 0; kw < s.kernel; ++kw) {
      const int64_t w = out.column * s.stride + kw - s.padding;
      if (w < 0 || w >= s.width) continue;
      each((out.image * s.height + h) * s.width + w, static_cast<uint8_t>(kh * s.kernel + kw));
    }
  }
}

// Calls each(pixel of y, tap) for the windows that hold a pixel of x, row-major.
template <class Each>
__device__ void ForWindowsOf(const PoolShape& s, const PoolItem& in, int64_t rows, int64_t columns,
                             const Each& each) {
  const int64_t h = in.row + s.padding, w = in.column + s.padding;
  const int64_t first_row = h < s.kernel ? 0 : (h - s.kernel) / s.stride + 1;
  const int64_t first_column = w < s.kernel ? 0 : (w - s.kernel) / s.stride + 1;
  for (int64_t r = first_row; r < rows && r * s.stride <= h; ++r) {
    for (int64_t c = first_column; c < columns && c * s.stride <= w; ++c) {
      each((in.image * rows + r) * columns + c,
           static_cast<uint8_t>((h - r * s.stride) * s.kernel + (w - c * s.stride)));
    }
  }
}

template <int kCount>
__global__ void MaxPoolKernel(PoolShape s, int64_t out_rows, int64_t out_columns, int64_t items,
                              const float* x, float* y, uint8_t* winner) {
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const PoolItem out(i, out_rows, out_columns, s.channels / kCount, kCount);
    Pack<kCount> best = {};
    Taps<kCount> which = {};
    bool first = true;
    ForWindow(s, out, [&](int64_t pixel, uint8_t tap) {
      const auto value = Load<kCount>(x + pixel * s.channels + out.channel);
      for (int k = 0; k < kCount; ++k) {
        // Not (value <= best): so that a NaN comes through, and stays.
        if (!first && (value[k] <= best[k] || best[k] != best[k])) continue;
        best[k] = value[k];
        which.value[k] = tap;
      }
      first = false;
    });
    Store(y + i * kCount, best);
    if (winner != nullptr) *reinterpret_cast<Taps<kCount>*>(winner + i * kCount) = which;
  }
}

template <int kCount>
__global__ void MaxPoolBackwardKernel(PoolShape s, int64_t out_rows, int64_t out_columns, int64_t items,
                                      const float* dy, const uint8_t* winner, bool add, float* dx) {
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const PoolItem in(i, s.height, s.width, s.channels / kCount, kCount);
    Pack<kCount> sum = {};
    ForWindowsOf(s, in, out_rows, out_columns, [&](int64_t pixel, uint8_t tap) {
      const int64_t at = pixel * s.channels + in.channel;
      const auto gradient = Load<kCount>(dy + at);
      const auto which = *reinterpret_cast<const Taps<kCount>*>(winner + at);
      for (int k = 0; k < kCount; ++k) sum[k] += which.value[k] == tap ? gradient[k] : 0.0f;
    });
    AddOrStore(add, dx + i * kCount, sum);
  }
}

template <int kCount>
__global__ void AveragePoolKernel(PoolShape s, int64_t out_rows, int64_t out_columns, int64_t items,
                                  float scale, const float* x, float* y) {
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const PoolItem out(i, out_rows, out_columns, s.channels / kCount, kCount);
    Pack<kCount> sum = {};
    ForWindow(s, out, [&](int64_t pixel, uint8_t) {
      const auto value = Load<kCount>(x + pixel * s.channels + out.channel);
      for (int k = 0; k < kCount; ++k) sum[k] += value[k];
    });
    for (int k = 0; k < kCount; ++k) sum[k] *= scale;
    Store(y + i * kCount, sum);
  }
}

template <int kCount>
__global__ void AveragePoolBackwardKernel(PoolShape s, int64_t out_rows, int64_t out_columns, int64_t items,
                                          float scale, const float* dy, bool add, float* dx) {
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const PoolItem in(i, s.height, s.width, s.channels / kCount, kCount);
    Pack<kCount> sum = {};
    ForWindowsOf(s, in, out_rows, out_columns, [&](int64_t pixel, uint8_t) {
      const auto gradient = Load<kCount>(dy + pixel * s.channels + in.channel);
      for (int k = 0; k < kCount; ++k) sum[k] += scale * gradient[k];
    });
    AddOrStore(add, dx + i * kCount, sum);
  }
}

// Global pooling is one window of the whole image, whose kernel need not be square.
template <int kCount>
__global__ void GlobalPoolKernel(int64_t pixels, int64_t channels, int64_t items, float scale, const float* x,
                                 float* y) {
  const int64_t packs = channels / kCount;
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const float* const image = x + i / packs * pixels * channels + i % packs * kCount;
    Pack<kCount> sum = {};
#pragma unroll 8
    for (int64_t p = 0; p < pixels; ++p) {
      const auto value = Load<kCount>(image + p * channels);
      for (int k = 0; k < kCount; ++k) sum[k] += value[k];
    }
    for (int k = 0; k < kCount; ++k) sum[k] *= scale;
    Store(y + i * kCount, sum);
  }
}

template <int kCount>
__global__ void GlobalPoolBackwardKernel(int64_t pixels, int64_t channels, int64_t items, float scale,
                                         const float* dy, bool add, float* dx) {
  const int64_t packs = channels / kCount;
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    auto gradient = Load<kCount>(dy + i / packs / pixels * channels + i % packs * kCount);
    for (int k = 0; k < kCount; ++k) gradient[k] *= scale;
    AddOrStore(add, dx + i * kCount, gradient);
  }
}

// What `launch` returns when called with the floats of an item, a constant, and the number of items.
template <class Call>
Launched ForItems(int64_t floats, int64_t channels, bool four, const Call& launch) {
  if (floats == 0) return {};
  if (four && channels % 4 == 0) return launch(PackOf<4>(), floats / 4);
  return launch(PackOf<1>(), floats);
}

}  // namespace

Launched MaxPoolForward(const PoolShape& s, int64_t rows, const float* x, float* y, uint8_t* winner,
                        Stream stream) {
  const int64_t height = PooledExtent(s.height, s), width = PooledExtent(s.width, s);
  return ForItems(rows * height * width * s.channels, s.channels, FourAtATime(x, y, winner),
                  [&](auto pack, int64_t items) {
                    return Launch<MaxPoolKernel<pack.kFloats>>(
                        {"MaxPoolForward", Blocks(items), kThreads, stream}, s, height, width, items, x, y,
                        winner);
                  });
}

Launched MaxPoolBackward(const PoolShape& s, int64_t rows, const float* dy, const uint8_t* winner, bool add,
                         float* dx, Stream stream) {
  const int64_t height = PooledExtent(s.height, s), width = PooledExtent(s.width, s);
  return ForItems(rows * s.height * s.width * s.channels, s.channels, FourAtATime(dy, winner, dx),
                  [&](auto pack, int64_t items) {
                    return Launch<MaxPoolBackwardKernel<pack.kFloats>>(
                        {"MaxPoolBackward", Blocks(items), kThreads, stream}, s, height, width, items, dy,
                        winner, add, dx);
                  });
}

Launched AveragePoolForward(const PoolShape& s, int64_t rows, const float* x, float* y, Stream stream) {
  const int64_t height = PooledExtent(s.height, s), width = PooledExtent(s.width, s);
  const float scale = 1.0f / static_cast<float>(s.kernel * s.kernel);
  return ForItems(
      rows * height * width * s.channels, s.channels, FourAtATime(x, y), [&](auto pack, int64_t items) {
        return Launch<AveragePoolKernel<pack.kFloats>>(
            {"AveragePoolForward", Blocks(items), kThreads, stream}, s, height, width, items, scale, x, y);
      });
}

Launched AveragePoolBackward(const PoolShape& s, int64_t rows, const float* dy, bool add, float* dx,
                             Stream stream) {
  const int64_t height = PooledExtent(s.height, s), width = PooledExtent(s.width, s);
  const float scale = 1.0f / static_cast<float>(s.kernel * s.kernel);
  return ForItems(rows * s.height * s.width * s.channels, s.channels, FourAtATime(dy, dx),
                  [&](auto pack, int64_t items) {
                    return Launch<AveragePoolBackwardKernel<pack.kFloats>>(
                        {"AveragePoolBackward", Blocks(items), kThreads, stream}, s, height, width, items,
                        scale, dy, add, dx);
                  });
}

Launched GlobalAveragePoolForward(int64_t pixels, int64_t channels, int64_t rows, const float* x, float* y,
                                  Stream stream) {
  const float scale = 1.0f / static_cast<float>(pixels);
  return ForItems(rows * channels, channels, FourAtATime(x, y), [&](auto pack, int64_t items) {
    return Launch<GlobalPoolKernel<pack.kFloats>>(
        {"GlobalAveragePoolForward", Blocks(items), kThreads, stream}, pixels, channels, items, scale, x, y);
  });
}

Launched GlobalAveragePoolBackward(int64_t pixels, int64_t channels, int64_t rows, const float* dy, bool add,
                                   float* dx, Stream stream) {
  const float scale = 1.0f / static_cast<float>(pixels);
  return ForItems(rows * pixels * channels, channels, FourAtATime(dy, dx), [&](auto pack, int64_t items) {
    return Launch<GlobalPoolBackwardKernel<pack.kFloats>>(
        {"GlobalAveragePoolBackward", Blocks(items), kThreads, stream}, pixels, channels, items, scale, dy,
        add, dx);
  });
}

}  // namespace lockstep::kernels::cuda
