// The arithmetic of one training step of the digits MLP (64-128-64-10, batch 64 in 8 shards, dropout 0.1,
// AdamW) in a bare loop: what a step of the service is measured against. Argument: this rank's shards, of 8.
//
// Floor, estimated for 8 shards on one core of a Zen 4 at 3.5 GHz (32 flop per cycle: 110 GFLOP/s; oneDNN
// reaches 100): 5.5 MFLOP = 50 us; 12,288 Philox words = 6 us; AdamW over 17,226 parameters, a square root
// and a division for each = 5 us. About 60 us.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "worker/engine/engine.h"

namespace {

using namespace lockstep;
using namespace lockstep::engine;

struct Digits {
  explicit Digits(int shards) {
    spec.mutable_model()->mutable_mlp()->add_hidden(128);
    spec.mutable_model()->mutable_mlp()->add_hidden(64);
    spec.mutable_model()->mutable_mlp()->set_dropout(0.1);
    spec.mutable_train()->mutable_optimizer()->mutable_adamw();
    model = *BuildModel(spec, 64, 10, v1::TASK_CLASSIFICATION);
    ExecutorOptions options;
    options.shards = {0, shards};
    executor = *MakeExecutor(model, spec, options);
    optimizer = *MakeOptimizer(spec.train(), *model);
    weights.resize(model->flat_size());
    model->Initialize(1, weights.data());
    sums.resize(MaximalNodes(8, options.shards).size() * model->gradient_size());
    for (int r = 0; r < shards * 8; ++r) {
      executor->classes()[r] = r % 10;
      for (int c = 0; c < 64; ++c)
        executor->features()[r * 64 + c] = static_cast<float>((r * 7 + c * 3) % 17) / 16;
    }
  }
  v1::JobSpec spec;
  std::shared_ptr<const Model> model;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<float> weights, sums;
};

void Gradient(benchmark::State& state) {
  Digits digits(static_cast<int>(state.range(0)));
  int64_t step = 0;
  for (auto _ : state) digits.executor->Gradient(digits.weights.data(), ++step, 64, digits.sums.data());
}
BENCHMARK(Gradient)->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Unit(benchmark::kMicrosecond);

void Apply(benchmark::State& state) {
  Digits digits(8);
  digits.executor->Gradient(digits.weights.data(), 1, 64, digits.sums.data());
  int64_t step = 0;
  for (auto _ : state) digits.optimizer->Apply(digits.sums.data(), digits.weights.data(), ++step, 1e-9);
}
BENCHMARK(Apply)->Unit(benchmark::kMicrosecond);

// The whole step on one rank; items are steps.
void BareStep(benchmark::State& state) {
  Digits digits(8);
  int64_t step = 0;
  for (auto _ : state) {
    ++step;
    digits.executor->Gradient(digits.weights.data(), step, 64, digits.sums.data());
    digits.optimizer->Apply(digits.sums.data(), digits.weights.data(), step, 1e-3);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BareStep)->Unit(benchmark::kMicrosecond);

void Predict(benchmark::State& state) {
  Digits digits(8);
  std::vector<float> x(180 * 64, 0.5f), out(180 * 10);
  for (auto _ : state) digits.executor->Predict(digits.weights.data(), x.data(), 180, out.data());
}
BENCHMARK(Predict)->Unit(benchmark::kMicrosecond);

}  // namespace
