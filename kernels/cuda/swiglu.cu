#include "kernels/cuda/pack.h"
#include "kernels/cuda/swiglu.h"

namespace lockstep::kernels::cuda {
namespace {

__device__ float GateSigmoid(float g) { return 1.0f / (1.0f + expf(-g)); }

__global__ void SwiGluKernel(int64_t count, bool four, const float* gate, const float* up, float* y) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto g = Load<pack.kFloats>(gate + at);
    auto u = Load<pack.kFloats>(up + at);
    for (int k = 0; k < pack.kFloats; ++k) u[k] *= g[k] * GateSigmoid(g[k]);
    Store(y + at, u);
  });
}

__global__ void SwiGluBackwardKernel(int64_t count, bool four, const float* gate, const float* up,
                                     const float* dy, bool add, float* dgate, float* dup) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    auto to_gate = Load<pack.kFloats>(gate + at);
    auto to_up = Load<pack.kFloats>(up + at);
    const auto d = Load<pack.kFloats>(dy + at);
    for (int k = 0; k < pack.kFloats; ++k) {
      const float g = to_gate[k], s = GateSigmoid(g), silu = g * s;
      to_gate[k] = d[k] * to_up[k] * (s + silu * (1.0f - s));
      to_up[k] = d[k] * silu;
    }
    if (dgate != nullptr) AddOrStore(add, dgate + at, to_gate);
    if (dup != nullptr) AddOrStore(add, dup + at, to_up);
  });
}

}  // namespace

Launched SwiGluForward(int64_t count, const float* gate, const float* up, float* y, Stream stream) {
  if (count == 0) return {};
  return Launch<SwiGluKernel>({"SwiGluForward", PackBlocks(count), kThreads, stream}, count,
                              FourAtATime(gate, up, y), gate, up, y);
}

Launched SwiGluBackward(int64_t count, const float* gate, const float* up, const float* dy, bool add,
                        float* dgate, float* dup, Stream stream) {
  if (count == 0 || (dgate == nullptr && dup == nullptr)) return {};
  return Launch<SwiGluBackwardKernel>({"SwiGluBackward", PackBlocks(count), kThreads, stream}, count,
                                      FourAtATime(gate, up, dy, dgate, dup), gate, up, dy, add, dgate, dup);
}

}  // namespace lockstep::kernels::cuda
