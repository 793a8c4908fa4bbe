// The optimizers' kernels and the hinge loss. Bytes count what is read and written once; 2^22 floats do not
// fit the caches.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "bench/kernels/bench_support.h"
#include "kernels/adagrad.h"
#include "kernels/gemm.h"
#include "kernels/hinge.h"
#include "kernels/lerp.h"
#include "kernels/lion.h"
#include "kernels/rmsprop.h"
#include "kernels/update.h"
#include "worker/engine/optimizers/newton_schulz.h"

namespace {

using namespace lockstep::kernels;

// One update over buffers of state.range(0) floats; `floats` are read or written for each weight.
template <typename Update>
void Run(benchmark::State& state, int floats, Update update) {
  cpu::PrepareThread();
  const int64_t count = state.range(0);
  std::vector<float> g = Values(count), a(count, 0.1f), b(count, 0.1f), w = Values(count);
  for (auto _ : state) update(count, g.data(), a.data(), b.data(), w.data());
  state.SetBytesProcessed(state.iterations() * count * floats * 4);
}

void AdamW(benchmark::State& state) {
  const AdamStep step{0.9f, 0.999f, 1e-9f, 1.0f, 1e-8f, 0.0f, 1.0f};
  Run(state, 7, [&](int64_t n, const float* g, float* m, float* v, float* w) {
    cpu::AdamUpdate(step, {}, n, g, m, v, w);
  });
}
BENCHMARK(AdamW)->Arg(17226)->Arg(1 << 22);

void SgdMomentum(benchmark::State& state) {
  Run(state, 5, [](int64_t n, const float* g, float* m, float*, float* w) {
    cpu::SgdUpdate({1e-9f, 0.9f, false, 0}, {}, n, g, m, w);
  });
}
BENCHMARK(SgdMomentum)->Arg(1 << 22);

void Adagrad(benchmark::State& state) {
  Run(state, 5, [](int64_t n, const float* g, float* s, float*, float* w) {
    cpu::AdagradUpdate({1e-9f, 1e-10f, 0}, {}, n, g, s, w);
  });
}
BENCHMARK(Adagrad)->Arg(1 << 22);

void RmsProp(benchmark::State& state) {
  Run(state, 5, [](int64_t n, const float* g, float* v, float*, float* w) {
    cpu::RmsPropUpdate({1e-9f, 0.99f, 1e-8f, 0, 0}, {}, n, g, v, nullptr, w);
  });
}
BENCHMARK(RmsProp)->Arg(1 << 22);

void Lion(benchmark::State& state) {
  Run(state, 5, [](int64_t n, const float* g, float* m, float*, float* w) {
    cpu::LionUpdate({1e-9f, 0.9f, 0.99f, 1}, {}, n, g, m, w);
  });
}
BENCHMARK(Lion)->Arg(1 << 22);

void AverageOfWeights(benchmark::State& state) {
  Run(state, 3, [](int64_t n, const float* g, float* a, float*, float*) { cpu::Lerp(n, 0.001f, g, a); });
}
BENCHMARK(AverageOfWeights)->Arg(1 << 22);

void NormOfGradient(benchmark::State& state) {
  Run(state, 1, [](int64_t n, const float*, float*, float*, float* w) {
    benchmark::DoNotOptimize(cpu::Regularize(n, 0, 0, w, w));
  });
}
BENCHMARK(NormOfGradient)->Arg(17226)->Arg(1 << 22);

// Arguments: rows, columns, threads.
void NewtonSchulz(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const int threads = static_cast<int>(state.range(2));
  struct alignas(64) Line {
    float floats[16];
  };
  std::vector<float> m = Values(rows * columns);
  std::vector<Line> scratch(lockstep::engine::NewtonSchulzScratch(rows, columns, threads) / 16);
  lockstep::engine::Team team(threads);
  for (auto _ : state) {
    team.Run([&](const lockstep::engine::Member& member) {
      lockstep::engine::NewtonSchulz(member, rows, columns, m.data(), scratch[0].floats);
    });
  }
  const double r = static_cast<double>(std::min(rows, columns)),
               k = static_cast<double>(std::max(rows, columns));
  state.counters["FLOPS"] =
      benchmark::Counter(5 * (4 * r * r * k + 2 * r * r * r), benchmark::Counter::kIsIterationInvariantRate,
                         benchmark::Counter::kIs1000);
}
BENCHMARK(NewtonSchulz)->Args({128, 384, 1})->Args({768, 768, 1})->Args({768, 768, 2})->UseRealTime();

void Hinge(benchmark::State& state) {
  const int64_t rows = 64, classes = state.range(0);
  std::vector<float> work = Values(rows * classes), losses(rows), correct(rows);
  std::vector<int32_t> labels(rows);
  for (int64_t r = 0; r < rows; ++r) labels[r] = static_cast<int32_t>(r % classes);
  for (auto _ : state) {
    cpu::Hinge(rows, classes, 1.0f / 64, labels.data(), work.data(), losses.data(), correct.data());
  }
  state.SetBytesProcessed(state.iterations() * rows * classes * 8);
}
BENCHMARK(Hinge)->Arg(10)->Arg(1000);

}  // namespace
