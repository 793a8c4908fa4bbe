// What reads and writes each value about once: bytes count each of those, from memory or cache.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/kernels/bench_support.h"
#include "kernels/activation.h"
#include "kernels/arrange.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/muon.h"
#include "kernels/norm.h"
#include "kernels/squared_error.h"

namespace {

using namespace lockstep::kernels;

void Bytes(benchmark::State& state, int64_t floats) {
  state.SetBytesProcessed(state.iterations() * floats * static_cast<int64_t>(sizeof(float)));
}

// Arguments: rows, width.
void Widths(benchmark::internal::Benchmark* bench) { bench->Args({768, 128})->Args({256, 768}); }

void RmsNormForward(benchmark::State& state) {
  cpu::PrepareThread();
  const int64_t rows = state.range(0), width = state.range(1);
  std::vector<float> x = Values(rows * width), y(x), gamma = Values(width), rstd(rows);
  for (auto _ : state) {
    cpu::RmsNormForward(rows, width, 1e-5f, gamma.data(), x.data(), y.data(), rstd.data());
  }
  Bytes(state, rows * width * 2);
}
BENCHMARK(RmsNormForward)->Apply(Widths);

void RmsNormBackward(benchmark::State& state) {
  cpu::PrepareThread();
  const int64_t rows = state.range(0), width = state.range(1);
  std::vector<float> x = Values(rows * width), dy(x), dx(x), gamma = Values(width), rstd(rows, 0.9f);
  for (auto _ : state) {
    cpu::RmsNormBackward(rows, width, gamma.data(), x.data(), rstd.data(), dy.data(), false, dx.data());
  }
  Bytes(state, rows * width * 3);
}
BENCHMARK(RmsNormBackward)->Apply(Widths);

// Tokens' rows of the table and positions' rows, added.
void EmbeddingForward(benchmark::State& state) {
  cpu::PrepareThread();
  const int64_t places = state.range(0), width = state.range(1), steps = 64, vocabulary = 50257;
  std::vector<float> table = Values(vocabulary * width), positions = Values(steps * width), y(places * width);
  std::vector<int32_t> tokens(places);
  for (int64_t i = 0; i < places; ++i) tokens[i] = static_cast<int32_t>(i * 7919 % vocabulary);
  for (auto _ : state) {
    cpu::EmbeddingForward(places / steps, steps, width, tokens.data(), table.data(), positions.data(),
                          y.data());
  }
  Bytes(state, places * width * 3);
}
BENCHMARK(EmbeddingForward)->Apply(Widths);

void ActivationBackward(benchmark::State& state) {
  cpu::PrepareThread();
  const int64_t count = 256 * 3072;
  const auto activation = static_cast<Activation>(state.range(0));
  std::vector<float> saved = Values(count), dy(saved), dx(saved);
  for (auto _ : state) cpu::ActivationBackward(activation, count, saved.data(), dy.data(), dx.data());
  Bytes(state, count * 3);
}
BENCHMARK(ActivationBackward)
    ->Arg(static_cast<int>(Activation::kRelu))
    ->Arg(static_cast<int>(Activation::kGelu))
    ->Arg(static_cast<int>(Activation::kSilu))
    ->Arg(static_cast<int>(Activation::kTanh))
    ->Arg(static_cast<int>(Activation::kSigmoid));

void SquaredError(benchmark::State& state) {
  cpu::PrepareThread();
  const int64_t rows = 64, width = state.range(0);
  std::vector<float> targets = Values(rows * width), y = Values(rows * width), losses(rows);
  for (auto _ : state) {
    cpu::SquaredError(rows, width, 0.5f, targets.data(), y.data(), losses.data());
  }
  Bytes(state, rows * width * 3);
}
BENCHMARK(SquaredError)->Arg(1)->Arg(784);

void Add(benchmark::State& state) {
  cpu::PrepareThread();
  const int64_t count = state.range(0);
  std::vector<float> a = Values(count), b(a), y(a);
  for (auto _ : state) cpu::AddForward(count, a.data(), b.data(), y.data());
  Bytes(state, count * 3);
}
BENCHMARK(Add)->Arg(256 * 768)->Arg(4 << 20);

// One of a concatenation's two inputs.
void Concat(benchmark::State& state) {
  cpu::PrepareThread();
  const int64_t rows = 4096, width = state.range(0);
  std::vector<float> in = Values(rows * width), out(2 * rows * width);
  for (auto _ : state) cpu::CopyBlocks(rows, width, in.data(), width, false, out.data(), 2 * width);
  Bytes(state, rows * width * 2);
}
BENCHMARK(Concat)->Arg(8)->Arg(64);

void MuonMomentum(benchmark::State& state) {
  cpu::PrepareThread();
  const int64_t count = 768 * 3072;
  std::vector<float> gradient = Values(count), buffer(count);
  for (auto _ : state) cpu::MuonMomentum(0.95f, Clip{}, count, gradient.data(), buffer.data());
  Bytes(state, count * 4);
}
BENCHMARK(MuonMomentum);

}  // namespace
