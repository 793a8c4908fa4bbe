#include "kernels/cuda/dropout.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {
namespace {

// What belongs to kCount neighbouring columns: their bytes of the mask.
template <int kCount>
struct alignas(kCount) MaskPack {
  uint8_t value[kCount];
};

// Bits of a Philox block go to four columns 16 apart; one thread makes kCount neighbouring blocks.
template <int kCount>
__global__ void DropoutKernel(DropoutKey key, const int64_t* step, uint32_t threshold, float scale,
                              int64_t rows, int64_t width, const float* x, float* y, uint8_t* mask) {
  constexpr int kPerGroup = 16 / kCount;
  const int64_t items_per_row = (width + 63) / 64 * kPerGroup;
  key.step = *step;
  const uint64_t high = key.CounterHigh();
  for (int64_t i = FirstItem(); i < rows * items_per_row; i += ItemStride()) {
    const int64_t row = i / items_per_row, item = i % items_per_row;
    const int64_t group = item / kPerGroup, lane = item % kPerGroup * kCount;
    const uint64_t low = uint64_t{key.first_row + static_cast<uint32_t>(row)} << 32;
    PhiloxBlock random[kCount];
    for (int c = 0; c < kCount; ++c) {
      random[c] = Philox(key.seed, high, low | static_cast<uint64_t>(16 * group + lane + c));
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int64_t column = 64 * group + 16 * k + lane;
      if (column >= width) break;
      const int64_t at = row * width + column;
      auto pack = Load<kCount>(x + at);
      MaskPack<kCount> kept;
      for (int c = 0; c < kCount; ++c) {
        kept.value[c] = random[c].value[k] >= threshold ? 1 : 0;
        pack[c] = kept.value[c] != 0 ? pack[c] * scale : 0.0f;
      }
      Store(y + at, pack);
      *reinterpret_cast<MaskPack<kCount>*>(mask + at) = kept;
    }
  }
}

__global__ void DropoutBackwardKernel(float scale, int64_t count, bool four, const uint8_t* mask,
                                      const float* dy, float* dx) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto kept = *reinterpret_cast<const MaskPack<pack.kFloats>*>(mask + at);
    auto d = Load<pack.kFloats>(dy + at);
    for (int k = 0; k < pack.kFloats; ++k) d[k] = kept.value[k] != 0 ? d[k] * scale : 0.0f;
    Store(dx + at, d);
  });
}

float Scale(double p) { return static_cast<float>(1.0 / (1.0 - p)); }

}  // namespace

Launched DropoutForward(const DropoutKey& key, const int64_t* step, double p, int64_t rows, int64_t width,
                        const float* x, float* y, uint8_t* mask, Stream stream) {
  if (rows * width == 0) return {};
  const int64_t groups = rows * ((width + 63) / 64);
  const uint32_t threshold = DropoutThreshold(p);
  if (width % 4 == 0 && FourAtATime(x, y, mask)) {
    return Launch<DropoutKernel<4>>({"DropoutForward", Blocks(groups * 4), kThreads, stream}, key, step,
                                    threshold, Scale(p), rows, width, x, y, mask);
  }
  return Launch<DropoutKernel<1>>({"DropoutForward", Blocks(groups * 16), kThreads, stream}, key, step,
                                  threshold, Scale(p), rows, width, x, y, mask);
}

Launched DropoutBackward(double p, int64_t count, const uint8_t* mask, const float* dy, float* dx,
                         Stream stream) {
  if (count == 0) return {};
  return Launch<DropoutBackwardKernel>({"DropoutBackward", PackBlocks(count), kThreads, stream}, Scale(p),
                                       count, FourAtATime(mask, dy, dx), mask, dy, dx);
}

}  // namespace lockstep::kernels::cuda
