#include "kernels/cuda/dropout.h"
#include "kernels/cuda/launch.h"

namespace lockstep::kernels::cuda {
namespace {

// One thread makes one Philox block, which is four columns of a row, 16 apart.
__global__ void ForwardKernel(DropoutKey key, uint32_t threshold, float scale, int64_t rows, int64_t width,
                              const float* x, float* y, uint8_t* mask) {
  const int64_t blocks_per_row = (width + 63) / 64 * 16;
  const uint64_t high = key.CounterHigh();
  for (int64_t i = FirstItem(); i < rows * blocks_per_row; i += ItemStride()) {
    const int64_t row = i / blocks_per_row, block = i % blocks_per_row;
    const uint32_t global_row = key.first_row + static_cast<uint32_t>(row);
    const PhiloxBlock random =
        Philox(key.seed, high, (uint64_t{global_row} << 32) | static_cast<uint64_t>(block));
    for (int k = 0; k < 4; ++k) {
      const int64_t column = block / 16 * 64 + 16 * k + block % 16;
      if (column >= width) break;
      const bool kept = random.value[k] >= threshold;
      y[row * width + column] = kept ? x[row * width + column] * scale : 0.0f;
      mask[row * width + column] = kept ? 1 : 0;
    }
  }
}

__global__ void BackwardKernel(float scale, int64_t count, const uint8_t* mask, const float* dy, float* dx) {
  for (int64_t i = FirstItem(); i < count; i += ItemStride()) dx[i] = mask[i] != 0 ? dy[i] * scale : 0.0f;
}

float Scale(double p) { return static_cast<float>(1.0 / (1.0 - p)); }

}  // namespace

Launched DropoutForward(const DropoutKey& key, double p, int64_t rows, int64_t width, const float* x,
                        float* y, uint8_t* mask, Stream stream) {
  if (rows * width == 0) return {};
  ForwardKernel<<<Blocks(rows * ((width + 63) / 64 * 16)), kThreads, 0, stream>>>(
      key, DropoutThreshold(p), Scale(p), rows, width, x, y, mask);
  return LastLaunch("DropoutForward");
}

Launched DropoutBackward(double p, int64_t count, const uint8_t* mask, const float* dy, float* dx,
                         Stream stream) {
  if (count == 0) return {};
  BackwardKernel<<<Blocks(count), kThreads, 0, stream>>>(Scale(p), count, mask, dy, dx);
  return LastLaunch("DropoutBackward");
}

}  // namespace lockstep::kernels::cuda
