// Batch norm and pooling at the shapes of ResNet-18 on 32x32 images and of the MNIST CNN, on one thread.
// Bytes count what is read and written once, from memory or cache.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/kernels/bench_support.h"
#include "kernels/batch_norm.h"
#include "kernels/pool.h"

namespace {

using namespace lockstep::kernels;

// Arguments: pixels of a shard (4 rows), channels. A shard's statistics, then its normalisation with ReLU: x
// twice, y.
void BatchNorm(benchmark::State& state) {
  const int64_t pixels = state.range(0), channels = state.range(1);
  const std::vector<float> x = Values(pixels * channels), gamma = Values(channels);
  std::vector<float> y(x.size()), mean(channels), variance(channels), inverse(channels);
  for (auto _ : state) {
    cpu::BatchNormStatistics(pixels, channels, 0, channels, x.data(), mean.data(), variance.data());
    cpu::BatchNormInverse(channels, 1e-5f, variance.data(), inverse.data());
    cpu::BatchNormForward(pixels, channels, {mean.data(), inverse.data(), gamma.data(), gamma.data()},
                          x.data(), nullptr, true, y.data());
  }
  state.SetBytesProcessed(state.iterations() * pixels * channels * 12);
}

// x and dy twice, dx.
void BatchNormBackward(benchmark::State& state) {
  const int64_t pixels = state.range(0), channels = state.range(1);
  const std::vector<float> x = Values(pixels * channels), one(channels, 1.0f);
  std::vector<float> dy = Values(x.size()), dx(x.size()), dgamma(channels), dbeta(channels);
  const BatchNormFactors factors{one.data(), one.data(), one.data(), one.data()};
  for (auto _ : state) {
    cpu::BatchNormSums(pixels, channels, 0, channels, factors, x.data(), nullptr, true, dy.data(),
                       dgamma.data(), dbeta.data());
    cpu::BatchNormInputGradient(pixels, pixels, channels, factors, dgamma.data(), dbeta.data(), x.data(),
                                true, dy.data(), false, dx.data());
  }
  state.SetBytesProcessed(state.iterations() * pixels * channels * 20);
}
#define LOCKSTEP_SHAPES ->Args({4096, 64})->Args({1024, 128})->Args({256, 256})->Args({64, 512})
BENCHMARK(BatchNorm) LOCKSTEP_SHAPES;
BENCHMARK(BatchNormBackward) LOCKSTEP_SHAPES;

// 64 rows of 24 x 24 x 64: x, y, winner.
constexpr PoolShape kPool{24, 24, 64};
constexpr int64_t kRows = 64, kIn = kRows * 24 * 24 * 64, kOut = kIn / 4;

void MaxPool(benchmark::State& state) {
  const std::vector<float> x = Values(kIn);
  std::vector<float> y(kOut);
  std::vector<uint8_t> winner(kOut);
  for (auto _ : state) cpu::MaxPoolForward(kPool, 0, kRows, x.data(), y.data(), winner.data());
  state.SetBytesProcessed(state.iterations() * (kIn * 4 + kOut * 5));
}
BENCHMARK(MaxPool);

void MaxPoolBackward(benchmark::State& state) {
  std::vector<float> dx(kIn), dy = Values(kOut);
  const std::vector<uint8_t> winner(kOut, 2);
  for (auto _ : state) cpu::MaxPoolBackward(kPool, 0, kRows, dy.data(), winner.data(), false, dx.data());
  state.SetBytesProcessed(state.iterations() * (kIn * 4 + kOut * 5));
}
BENCHMARK(MaxPoolBackward);

void AveragePool(benchmark::State& state) {
  const std::vector<float> x = Values(kIn);
  std::vector<float> y(kOut);
  for (auto _ : state) cpu::AveragePoolForward(kPool, 0, kRows, x.data(), y.data());
  state.SetBytesProcessed(state.iterations() * (kIn + kOut) * 4);
}
BENCHMARK(AveragePool);

}  // namespace
