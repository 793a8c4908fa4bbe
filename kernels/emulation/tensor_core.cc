#include "kernels/emulation/tensor_core.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/emulation/run.h"
#include "kernels/emulation/synchronization.h"

namespace lockstep::kernels::emulation {
namespace {

constexpr int kLanes = 32, kHeldThreads = 1024;

struct Fragments {
  uint32_t a[4], b[2];
};
Fragments held[kHeldThreads];  // by the block's threads

uint32_t Bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return bits >> 16 | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// Half `half` of a pair.
double Value(uint32_t pair, int half) {
  return std::bit_cast<float>(half == 0 ? pair << 16 : pair & 0xffff0000u);
}

}  // namespace

uint32_t Bf16Pair(float low, float high) { return Bf16(low) | Bf16(high) << 16; }

void MultiplyBf16(float* c, const uint32_t* a, const uint32_t* b, int line) {
  const int thread = static_cast<int>(ThreadIndex().x), lane = thread % kLanes;
  const Fragments* const warp = held + (thread - lane);
  std::copy_n(a, 4, held[thread].a);
  std::copy_n(b, 2, held[thread].b);
  constexpr unsigned kAll = 0xffffffffu;
  WarpMeet(WarpOperation::kBallot, kAll, 0, 0, line);
  const int group = lane / 4;
  for (int element = 0; element < 4; ++element) {
    const int below = element / 2, column = lane % 4 * 2 + element % 2;
    double sum = c[element];
    for (int k = 0; k < 16; ++k) {
      const int right = k / 8, t = k % 8 / 2;
      sum += Value(warp[group * 4 + t].a[2 * right + below], k % 2) *
             Value(warp[column * 4 + t].b[right], k % 2);
    }
    c[element] = static_cast<float>(sum);
  }
  WarpMeet(WarpOperation::kBallot, kAll, 0, 0, line);  // nobody leaves anew what others still read
}

}  // namespace lockstep::kernels::emulation
