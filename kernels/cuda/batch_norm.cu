#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {
namespace {

constexpr int kPixels = 32;  // of a chunk
constexpr int kMergeChains = kThreads / kWarp;

// (x - mean) * (inverse * gamma) + beta for kCount neighbouring channels.
template <int kCount>
struct Affine {
  Pack<kCount> mean, scale, beta;
  __device__ Affine(const BatchNormFactors& factors, int64_t channel)
      : mean(Load<kCount>(factors.mean + channel)),
        scale(Load<kCount>(factors.inverse + channel)),
        beta(Load<kCount>(factors.beta + channel)) {
    const auto gamma = Load<kCount>(factors.gamma + channel);
    for (int k = 0; k < kCount; ++k) scale[k] *= gamma[k];
  }
  __device__ float Value(float x, int k) const { return (x - mean[k]) * scale[k] + beta[k]; }
};

// Of each chunk of pixels: mean, then the squares about it. partials is (chunks, 2, channels).
template <int kCount>
__global__ void ChunkStatisticsKernel(int64_t pixels, int64_t channels, const float* x, float* partials) {
  const int64_t channel = (int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * kCount;
  if (channel >= channels) return;
  const int64_t chunk = blockIdx.x, first = chunk * kPixels;
  const int64_t end = first + kPixels < pixels ? first + kPixels : pixels;
  Pack<kCount> mean = {}, squares = {};
#pragma unroll 8
  for (int64_t p = first; p < end; ++p) {
    const auto value = Load<kCount>(x + p * channels + channel);
    for (int k = 0; k < kCount; ++k) mean[k] += value[k];
  }
  for (int k = 0; k < kCount; ++k) mean[k] *= 1.0f / static_cast<float>(end - first);
#pragma unroll 8
  for (int64_t p = first; p < end; ++p) {  // from the cache
    const auto value = Load<kCount>(x + p * channels + channel);
    for (int k = 0; k < kCount; ++k) squares[k] += (value[k] - mean[k]) * (value[k] - mean[k]);
  }
  Store(partials + 2 * chunk * channels + channel, mean);
  Store(partials + (2 * chunk + 1) * channels + channel, squares);
}

// Pixels seen, their mean and the squares about it (Chan, Golub & LeVeque 1983).
struct Moments {
  float count = 0, mean = 0, squares = 0;
  __device__ void Merge(float more, float mean_of_more, float squares_of_more) {
    if (more == 0.0f) return;
    const float total = count + more, part = more / total, delta = mean_of_more - mean;
    mean += delta * part;
    squares += squares_of_more + delta * delta * (part * count);
    count = total;
  }
};

// A block merges the chunks of 32 channels; its warps are the chains.
__global__ void MergeStatisticsKernel(int64_t pixels, int64_t channels, const float* partials, float* mean,
                                      float* variance) {
  LOCKSTEP_SHARED(of_chain, float[3][kMergeChains][kWarp]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, chain = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t channel = int64_t{blockIdx.x} * kWarp + lane, chunks = (pixels + kPixels - 1) / kPixels;
  Moments moments;
  if (channel < channels) {
    for (int64_t c = chain; c < chunks; c += kMergeChains) {
      const int64_t size = pixels - c * kPixels < kPixels ? pixels - c * kPixels : kPixels;
      moments.Merge(static_cast<float>(size), partials[2 * c * channels + channel],
                    partials[(2 * c + 1) * channels + channel]);
    }
  }
  of_chain[0][chain][lane] = moments.count;
  of_chain[1][chain][lane] = moments.mean;
  of_chain[2][chain][lane] = moments.squares;
  __syncthreads();
  if (chain != 0 || channel >= channels) return;
  for (int c = 1; c < kMergeChains; ++c) {
    moments.Merge(of_chain[0][c][lane], of_chain[1][c][lane], of_chain[2][c][lane]);
  }
  mean[channel] = moments.mean;
  variance[channel] = pixels > 0 ? moments.squares / static_cast<float>(pixels) : 0.0f;
}

__global__ void BatchNormInverseKernel(int64_t channels, float epsilon, const float* variance,
                                       float* inverse) {
  for (int64_t c = FirstItem(); c < channels; c += ItemStride())
    inverse[c] = 1.0f / sqrtf(variance[c] + epsilon);
}

template <int kCount>
__global__ void BatchNormKernel(int64_t items, int64_t channels, BatchNormFactors factors, const float* x,
                                const float* residual, bool relu, float* y) {
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const Affine<kCount> affine(factors, i * kCount % channels);
    auto value = Load<kCount>(x + i * kCount);
    for (int k = 0; k < kCount; ++k) value[k] = affine.Value(value[k], k);
    if (residual != nullptr) {
      const auto more = Load<kCount>(residual + i * kCount);
      for (int k = 0; k < kCount; ++k) value[k] += more[k];
    }
    for (int k = 0; k < kCount && relu; ++k) value[k] = value[k] < 0.0f ? 0.0f : value[k];  // NaN stays
    Store(y + i * kCount, value);
  }
}

// Of each chunk of pixels: sum (x - mean) g, and sum g. partials is (chunks, 2, channels).
template <int kCount>
__global__ void ChunkGradientKernel(int64_t pixels, int64_t channels, BatchNormFactors factors,
                                    const float* x, const float* y, bool relu, float* dy, float* partials) {
  const int64_t channel = (int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * kCount;
  if (channel >= channels) return;
  const int64_t chunk = blockIdx.x, first = chunk * kPixels;
  const int64_t end = first + kPixels < pixels ? first + kPixels : pixels;
  const Affine<kCount> affine(factors, channel);
  Pack<kCount> products = {}, sums = {};
#pragma unroll 4
  for (int64_t p = first; p < end; ++p) {
    const int64_t at = p * channels + channel;
    const auto input = Load<kCount>(x + at);
    auto g = Load<kCount>(dy + at);
    if (y != nullptr) {
      const auto output = Load<kCount>(y + at);
      for (int k = 0; k < kCount; ++k) g[k] = output[k] > 0.0f ? g[k] : 0.0f;
      Store(dy + at, g);
    } else if (relu) {
      for (int k = 0; k < kCount; ++k) g[k] = affine.Value(input[k], k) > 0.0f ? g[k] : 0.0f;
    }
    for (int k = 0; k < kCount; ++k) {
      products[k] += (input[k] - affine.mean[k]) * g[k];
      sums[k] += g[k];
    }
  }
  Store(partials + 2 * chunk * channels + channel, products);
  Store(partials + (2 * chunk + 1) * channels + channel, sums);
}

__global__ void MergeGradientKernel(int64_t pixels, int64_t channels, const float* inverse,
                                    const float* partials, float* dgamma, float* dbeta) {
  LOCKSTEP_SHARED(of_chain, float[2][kMergeChains][kWarp]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, chain = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t channel = int64_t{blockIdx.x} * kWarp + lane, chunks = (pixels + kPixels - 1) / kPixels;
  float product = 0, sum = 0;
  if (channel < channels) {
#pragma unroll 4
    for (int64_t c = chain; c < chunks; c += kMergeChains) {
      product += partials[2 * c * channels + channel];
      sum += partials[(2 * c + 1) * channels + channel];
    }
  }
  of_chain[0][chain][lane] = product;
  of_chain[1][chain][lane] = sum;
  __syncthreads();
  if (chain != 0 || channel >= channels) return;
  for (int c = 1; c < kMergeChains; ++c) {
    product += of_chain[0][c][lane];
    sum += of_chain[1][c][lane];
  }
  dgamma[channel] = product * inverse[channel];
  dbeta[channel] = sum;
}

template <int kCount>
__global__ void BatchNormInputKernel(int64_t items, int64_t channels, float share, BatchNormFactors factors,
                                     const float* dgamma, const float* dbeta, const float* x, bool relu,
                                     const float* dy, bool add, float* dx) {
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const int64_t channel = i * kCount % channels;
    const Affine<kCount> affine(factors, channel);
    const auto inverse = Load<kCount>(factors.inverse + channel), of_gamma = Load<kCount>(dgamma + channel);
    const auto of_beta = Load<kCount>(dbeta + channel), input = Load<kCount>(x + i * kCount);
    auto g = Load<kCount>(dy + i * kCount);
    for (int k = 0; k < kCount; ++k) {
      if (relu && !(affine.Value(input[k], k) > 0.0f)) g[k] = 0.0f;
      const float xhat = (input[k] - affine.mean[k]) * inverse[k];
      g[k] = affine.scale[k] * (g[k] - of_beta[k] * share - xhat * (of_gamma[k] * share));
    }
    AddOrStore(add, dx + i * kCount, g);
  }
}

int64_t Chunks(int64_t pixels) { return (pixels + kPixels - 1) / kPixels; }

bool FourChannels(int64_t channels, const BatchNormFactors& f) {
  return channels % 4 == 0 && FourAtATime(f.mean, f.inverse, f.gamma, f.beta);
}

// A thread for each pack of channels, a block for some of them and a chunk of pixels.
LaunchAt ChunkGrid(const char* launcher, int64_t pixels, int64_t packs, Stream stream) {
  const int64_t threads = packs < kThreads ? (packs + kWarp - 1) / kWarp * kWarp : kThreads;
  return {launcher, dim3(static_cast<unsigned>(Chunks(pixels)), Blocks(packs, threads)),
          static_cast<unsigned>(threads), stream};
}

}  // namespace

int64_t BatchNormScratch(int64_t pixels, int64_t channels) { return 2 * Chunks(pixels) * channels; }

Launched BatchNormStatistics(int64_t pixels, int64_t channels, const float* x, float* mean, float* variance,
                             float* scratch, Stream stream) {
  if (channels == 0) return {};
  if (pixels > 0) {
    const Launched launched =
        channels % 4 == 0 && FourAtATime(x, scratch)
            ? Launch<ChunkStatisticsKernel<4>>(ChunkGrid("BatchNormStatistics", pixels, channels / 4, stream),
                                               pixels, channels, x, scratch)
            : Launch<ChunkStatisticsKernel<1>>(ChunkGrid("BatchNormStatistics", pixels, channels, stream),
                                               pixels, channels, x, scratch);
    if (!launched.ok()) return launched;
  }
  return Launch<MergeStatisticsKernel>({"BatchNormStatistics", Blocks(channels, kWarp), kThreads, stream},
                                       pixels, channels, static_cast<const float*>(scratch), mean, variance);
}

Launched BatchNormInverse(int64_t channels, float epsilon, const float* variance, float* inverse,
                          Stream stream) {
  if (channels == 0) return {};
  return Launch<BatchNormInverseKernel>({"BatchNormInverse", Blocks(channels), kThreads, stream}, channels,
                                        epsilon, variance, inverse);
}

Launched BatchNormForward(int64_t pixels, int64_t channels, const BatchNormFactors& factors, const float* x,
                          const float* residual, bool relu, float* y, Stream stream) {
  const int64_t count = pixels * channels;
  if (count == 0) return {};
  const LaunchAt at{"BatchNormForward", PackBlocks(count), kThreads, stream};
  if (FourChannels(channels, factors) && FourAtATime(x, residual, y)) {
    return Launch<BatchNormKernel<4>>(at, count / 4, channels, factors, x, residual, relu, y);
  }
  return Launch<BatchNormKernel<1>>(at, count, channels, factors, x, residual, relu, y);
}

Launched BatchNormSums(int64_t pixels, int64_t channels, const BatchNormFactors& factors, const float* x,
                       const float* y, bool relu, float* dy, float* dgamma, float* dbeta, float* scratch,
                       Stream stream) {
  if (channels == 0) return {};
  if (pixels > 0) {
    const Launched launched =
        FourChannels(channels, factors) && FourAtATime(x, y, dy, scratch)
            ? Launch<ChunkGradientKernel<4>>(ChunkGrid("BatchNormSums", pixels, channels / 4, stream), pixels,
                                             channels, factors, x, y, relu, dy, scratch)
            : Launch<ChunkGradientKernel<1>>(ChunkGrid("BatchNormSums", pixels, channels, stream), pixels,
                                             channels, factors, x, y, relu, dy, scratch);
    if (!launched.ok()) return launched;
  }
  return Launch<MergeGradientKernel>({"BatchNormSums", Blocks(channels, kWarp), kThreads, stream}, pixels,
                                     channels, factors.inverse, static_cast<const float*>(scratch), dgamma,
                                     dbeta);
}

Launched BatchNormInputGradient(int64_t count, int64_t pixels, int64_t channels,
                                const BatchNormFactors& factors, const float* dgamma, const float* dbeta,
                                const float* x, bool relu, const float* dy, bool add, float* dx,
                                Stream stream) {
  const int64_t floats = pixels * channels;
  if (floats == 0) return {};
  const float share = 1.0f / static_cast<float>(count);
  const LaunchAt at{"BatchNormInputGradient", PackBlocks(floats), kThreads, stream};
  if (FourChannels(channels, factors) && FourAtATime(dgamma, dbeta, x, dy, dx)) {
    return Launch<BatchNormInputKernel<4>>(at, floats / 4, channels, share, factors, dgamma, dbeta, x, relu,
                                           dy, add, dx);
  }
  return Launch<BatchNormInputKernel<1>>(at, floats, channels, share, factors, dgamma, dbeta, x, relu, dy,
                                         add, dx);
}

}  // namespace lockstep::kernels::cuda
