#include "kernels/cuda/clip.h"
#include "kernels/cuda/muon.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void MuonKernel(float momentum, Clip clip, int64_t count, bool four, float* gradient,
                           float* buffer) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    auto g = Load<pack.kFloats>(gradient + at);
    auto b = Load<pack.kFloats>(buffer + at);
    for (int k = 0; k < pack.kFloats; ++k) {
      g[k] = Clipped(g[k], clip);
      b[k] += (1.0f - momentum) * (g[k] - b[k]);
      g[k] += momentum * (b[k] - g[k]);
    }
    Store(gradient + at, g);
    Store(buffer + at, b);
  });
}

}  // namespace

Launched MuonMomentum(float momentum, const Clip& clip, int64_t count, float* gradient, float* buffer,
                      Stream stream) {
  if (count == 0) return {};
  return Launch<MuonKernel>({"MuonMomentum", PackBlocks(count), kThreads, stream}, momentum, Explicit(clip),
                            count, FourAtATime(gradient, buffer), gradient, buffer);
}

}  // namespace lockstep::kernels::cuda
