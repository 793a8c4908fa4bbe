#include "kernels/cuda/muon.h"
#include "kernels/cuda/update_rules.h"

namespace lockstep::kernels::cuda {
namespace {

__global__ void MuonKernel(float momentum, Clip clip, int64_t count, bool four, float* gradient,
                           float* buffer) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    MuonPack<pack.kFloats>(momentum, clip, gradient + at, buffer + at);
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
