// Pooling of images: the largest or the mean value of each window, and the gradients.
//
//   max      y[n, r, c, k] = max over the window's pixels inside the image;  dx of that pixel += dy
//            Of equal values the first in row-major order wins. A NaN wins over everything.
//   average  y[n, r, c, k] = (sum over the window's pixels, in row-major order, zero outside) / kernel^2
//   global   y[n, k]       = (sum over the image, in row-major order) / (height * width)
//
// As PyTorch's max_pool2d, avg_pool2d (count_include_pad) and adaptive_avg_pool2d(1).
//
// Shapes: x, dx (rows, height, width, channels); y, dy (rows, out_height, out_width, channels) with
// ConvolvedExtent of kernels/convolution.h; `winner` as y, one byte each: kh * kernel + kw. Dense float32.
// REQUIRES: 2 * padding <= kernel.
//
// Bits of a row depend on that row alone. Rows [begin, end) are computed, on the calling thread.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

inline constexpr int64_t kMaxPoolKernel = 15;  // its square fits a byte

struct PoolShape {
  int64_t height = 1, width = 1, channels = 1;
  int64_t kernel = 2, stride = 2, padding = 0;
};

namespace cpu {

// `winner` may be null when there will be no backward pass.
void MaxPoolForward(const PoolShape& shape, int64_t begin, int64_t end, const float* x, float* y,
                    uint8_t* winner);
// Backward passes write dx, or with `add` add to what is there.
void MaxPoolBackward(const PoolShape& shape, int64_t begin, int64_t end, const float* dy,
                     const uint8_t* winner, bool add, float* dx);
void AveragePoolForward(const PoolShape& shape, int64_t begin, int64_t end, const float* x, float* y);
void AveragePoolBackward(const PoolShape& shape, int64_t begin, int64_t end, const float* dy, bool add,
                         float* dx);
// `pixels` is height * width.
void GlobalAveragePoolForward(int64_t pixels, int64_t channels, int64_t begin, int64_t end, const float* x,
                              float* y);
void GlobalAveragePoolBackward(int64_t pixels, int64_t channels, int64_t begin, int64_t end, const float* dy,
                               bool add, float* dx);

}  // namespace cpu
}  // namespace lockstep::kernels
