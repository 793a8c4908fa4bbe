#include "kernels/cuda/pack.h"
#include "kernels/cuda/rope.h"

namespace lockstep::kernels::cuda {
namespace {

// One thread turns kCount neighbouring pairs of a head.
template <int kCount>
__global__ void RopeKernel(RopeShape shape, int64_t rows, float direction, const float* cosine,
                           const float* sine, float* x) {
  const int64_t half = shape.head_width / 2, per_head = half / kCount, per_step = shape.heads * per_head;
  for (int64_t i = FirstItem(); i < rows * shape.steps * per_step; i += ItemStride()) {
    const int64_t place = i / per_step, item = i % per_step;  // place: row and step
    const int64_t head = item / per_head, column = item % per_head * kCount;
    const int64_t angle = place % shape.steps * half + column;
    float* const low = x + place * shape.stride + head * shape.head_width + column;
    auto a = Load<kCount>(low), b = Load<kCount>(low + half);
    const auto c = Load<kCount>(cosine + angle), s = Load<kCount>(sine + angle);
    for (int k = 0; k < kCount; ++k) {
      const float first = a[k], turn = direction * s[k];
      a[k] = first * c[k] - b[k] * turn;
      b[k] = b[k] * c[k] + first * turn;
    }
    Store(low, a);
    Store(low + half, b);
  }
}

Launched Rotate(const char* launcher, const RopeShape& shape, int64_t rows, float direction,
                const float* cosine, const float* sine, float* x, Stream stream) {
  const int64_t half = shape.head_width / 2, pairs = rows * shape.steps * shape.heads * half;
  if (pairs == 0) return {};
  if (half % 4 == 0 && shape.stride % 4 == 0 && FourAtATime(cosine, sine, x)) {
    return Launch<RopeKernel<4>>({launcher, PackBlocks(pairs), kThreads, stream}, shape, rows, direction,
                                 cosine, sine, x);
  }
  return Launch<RopeKernel<1>>({launcher, Blocks(pairs), kThreads, stream}, shape, rows, direction, cosine,
                               sine, x);
}

}  // namespace

Launched RopeForward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* x,
                     Stream stream) {
  return Rotate("RopeForward", shape, rows, 1.0f, cosine, sine, x, stream);
}
Launched RopeBackward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* dx,
                      Stream stream) {
  return Rotate("RopeBackward", shape, rows, -1.0f, cosine, sine, dx, stream);
}

}  // namespace lockstep::kernels::cuda
