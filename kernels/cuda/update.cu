#include "kernels/cuda/reduce.h"
#include "kernels/cuda/update.h"
#include "kernels/cuda/update_rules.h"

namespace lockstep::kernels::cuda {
namespace {

constexpr int64_t kSquaresChunk = 16 * kThreads;  // floats of a block

// The last pack a float at a time.
__global__ void RegularizeKernel(int64_t count, bool aligned, float l1, float l2, const float* weights,
                                 float* gradient, double* partials) {
  const int64_t begin = blockIdx.x * kSquaresChunk,
                end = begin + kSquaresChunk < count ? begin + kSquaresChunk : count;
  double squares = 0;
  const auto add = [&](auto pack, int64_t at) {
    auto g = Load<pack.kFloats>(gradient + at, aligned);
    if (l1 != 0.0f || l2 != 0.0f) {
      const auto w = Load<pack.kFloats>(weights + at, aligned);
      g = Regularized(l1, l2, g, w);
      Store(gradient + at, g, aligned);
    }
    for (int k = 0; k < pack.kFloats; ++k) squares += static_cast<double>(g[k]) * static_cast<double>(g[k]);
  };
#pragma unroll 4
  for (int64_t at = begin + 4 * int64_t{threadIdx.x}; at < end; at += 4 * kThreads) {
    if (at + 4 <= end) {
      add(PackOf<4>(), at);
    } else {
      for (int64_t i = at; i < end; ++i) add(PackOf<1>(), i);
    }
  }
  squares = BlockSum<kThreads / kWarp>(squares);
  if (threadIdx.x == 0) partials[blockIdx.x] = squares;
}

__global__ void SumOfSquaresKernel(int64_t chunks, const double* partials, double* squares) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < chunks; i += kThreads) sum += partials[i];
  sum = BlockSum<kThreads / kWarp>(sum);
  if (threadIdx.x == 0) *squares = sum;
}

__global__ void SgdKernel(SgdStep step, Clip clip, int64_t count, bool four, const float* gradient,
                          float* momentum, float* weights) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    SgdPack<pack.kFloats>(step, clip, gradient + at, momentum + at, weights + at);
  });
}

__global__ void AdamKernel(AdamStep step, Clip clip, int64_t count, bool four, const float* gradient,
                           float* first, float* second, float* weights) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    AdamPack<pack.kFloats>(step, clip, gradient + at, first + at, second + at, weights + at);
  });
}

}  // namespace

int64_t RegularizeScratch(int64_t count) { return (count + kSquaresChunk - 1) / kSquaresChunk; }

Launched Regularize(int64_t count, float l1, float l2, const float* weights, float* gradient, double* squares,
                    double* scratch, Stream stream) {
  const int64_t chunks = RegularizeScratch(count);
  if (chunks > 0) {
    const Launched launched =
        Launch<RegularizeKernel>({"Regularize", static_cast<unsigned>(chunks), kThreads, stream}, count,
                                 FourAtATime(weights, gradient), l1, l2, weights, gradient, scratch);
    if (!launched.ok()) return launched;
  }
  return Launch<SumOfSquaresKernel>({"Regularize", 1, kThreads, stream}, chunks,
                                    static_cast<const double*>(scratch), squares);
}

Launched SgdUpdate(const SgdStep& step, const Clip& clip, int64_t count, const float* gradient,
                   float* momentum, float* weights, Stream stream) {
  if (count == 0) return {};
  return Launch<SgdKernel>({"SgdUpdate", PackBlocks(count), kThreads, stream}, step, Explicit(clip), count,
                           FourAtATime(gradient, momentum, weights), gradient, momentum, weights);
}

Launched AdamUpdate(const AdamStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                    float* v, float* weights, Stream stream) {
  if (count == 0) return {};
  return Launch<AdamKernel>({"AdamUpdate", PackBlocks(count), kThreads, stream}, step, Explicit(clip), count,
                            FourAtATime(gradient, m, v, weights), gradient, m, v, weights);
}

}  // namespace lockstep::kernels::cuda
