// One gradient of a language model (forward, loss, backward; no optimizer) on this rank's threads, batch and
// shards as a job would have them. FLOPs are six for each weight of a matrix and token (two forward, four
// back), attention not counted. Arguments: threads, bf16.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "common/spec/complete_sequence_model.h"
#include "worker/engine/engine.h"
#include "worker/engine/team.h"

namespace {

using namespace lockstep;
using namespace lockstep::engine;

void Step(benchmark::State& state, const v1::JobSpec& spec, int batch, int steps, int vocabulary) {
  Team team(static_cast<int>(state.range(0)));
  const std::shared_ptr<const Model> model = *BuildModel(spec, steps, vocabulary, v1::TASK_LANGUAGE_MODEL);
  ExecutorOptions options;
  options.shards = {0, 8};
  options.rows_per_shard = (batch + 7) / 8;
  options.precision = state.range(1) != 0 ? Precision::kBf16 : Precision::kFp32;
  options.team = &team;
  const std::unique_ptr<Executor> executor = *MakeExecutor(model, spec, options);
  for (int s = 0; s < 8; ++s) executor->SetRows(s, batch * (s + 1) / 8 - batch * s / 8);
  for (int64_t i = 0; i < executor->capacity() * steps; ++i) {
    executor->tokens()[i] = static_cast<int32_t>(i * 7919 % vocabulary);
    executor->classes()[i] = static_cast<int32_t>(i * 104729 % vocabulary);
  }
  std::vector<float> weights(model->flat_size()), sums(model->gradient_size());
  model->Initialize(1, weights.data());
  double matrices = 0;
  for (const Parameter& parameter : model->parameters()) {
    if (parameter.shape.size() == 2 && parameter.name != "wpe.weight")
      matrices += static_cast<double>(parameter.size);
  }
  int64_t step = 0;
  for (auto _ : state) executor->Gradient(weights.data(), ++step, batch, sums.data());
  state.counters["FLOPS"] =
      benchmark::Counter(6.0 * matrices * batch * steps, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["MB"] = static_cast<double>(executor->bytes()) / 1e6;
}

void CharGpt(benchmark::State& state) {
  v1::JobSpec spec;
  v1::GptSpec& gpt = *spec.mutable_model()->mutable_gpt();
  gpt.set_layers(4);
  gpt.set_heads(4);
  gpt.set_width(128);
  gpt.set_context(64);
  if (!spec::CompleteGpt(&gpt).ok()) return state.SkipWithError("spec");
  Step(state, spec, 12, 64, 65);
}
BENCHMARK(CharGpt)->Args({1, 0})->Args({2, 0})->Unit(benchmark::kMillisecond)->UseRealTime();

void Gpt2(benchmark::State& state) {
  v1::JobSpec spec;
  if (!spec::CompleteGpt(spec.mutable_model()->mutable_gpt()).ok()) return state.SkipWithError("spec");
  Step(state, spec, 4, 64, 50257);
}
BENCHMARK(Gpt2)->Args({1, 0})->Args({2, 0})->Args({2, 1})->Unit(benchmark::kMillisecond)->UseRealTime();

void CharLstm(benchmark::State& state) {
  v1::JobSpec spec;
  v1::RecurrentSpec& lstm = *spec.mutable_model()->mutable_lstm();
  lstm.set_hidden(256);
  lstm.set_layers(2);
  if (!spec::CompleteRecurrent("model.lstm", &lstm).ok()) return state.SkipWithError("spec");
  Step(state, spec, 32, 64, 65);
}
BENCHMARK(CharLstm)->Args({1, 0})->Args({2, 0})->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
