#include "kernels/cuda/pack.h"
#include "kernels/cuda/round.h"
#include "kernels/cuda/tensor_core.h"

namespace lockstep::kernels::cuda {
namespace {

struct alignas(8) Bf16Four {
  uint32_t pair[2];
};

__global__ void RoundToBf16Kernel(int64_t count, bool four, const float* in, uint16_t* out) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto values = Load<pack.kFloats>(in + at);
    if constexpr (pack.kFloats == 4) {
      *reinterpret_cast<Bf16Four*>(out +
                                   at) = {{Bf16Pair(values[0], values[1]), Bf16Pair(values[2], values[3])}};
    } else {
      out[at] = static_cast<uint16_t>(Bf16Pair(values[0], 0) & 0xffff);
    }
  });
}

}  // namespace

Launched RoundToBf16(int64_t count, const float* in, uint16_t* out, Stream stream) {
  if (count == 0) return {};
  const bool four = FourAtATime(in) && reinterpret_cast<uintptr_t>(out) % 8 == 0;
  return Launch<RoundToBf16Kernel>({"RoundToBf16", PackBlocks(count), kThreads, stream}, count, four, in,
                                   out);
}

}  // namespace lockstep::kernels::cuda
