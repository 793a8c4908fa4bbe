// Nothing is allocated on the step path. A program of its own: operator new is replaced.
#include <gtest/gtest.h>

#include "worker/engine/engine.h"
#include "worker/models/count_allocations.h"
#include "worker/models/graph_job.h"
#include "worker/models/test_job.h"

namespace lockstep::engine {
namespace {

TEST(Allocation, StepPathAllocates) {
  for (const char* kind : {"relu", "gelu"}) {
    TestJob job({.kind = kind,
                 .features = 64,
                 .outputs = 10,
                 .hidden = {128, 64},
                 .dropout = 0.1,
                 .rows_per_shard = 8});
    job.spec.mutable_train()->mutable_gradient_clip()->set_norm(1);
    job.spec.mutable_train()->set_l2(0.1);
    const std::unique_ptr<Executor> executor = job.MakeRank({0, 8});
    for (const char* name : {"sgd", "adamw", "adagrad", "rmsprop", "lion", "muon"}) {
      v1::OptimizerSpec& spec = *job.spec.mutable_train()->mutable_optimizer();
      spec.GetReflection()->MutableMessage(&spec, v1::OptimizerSpec::descriptor()->FindFieldByName(name));
      const std::unique_ptr<Optimizer> optimizer = *MakeOptimizer(job.spec.train(), *job.model);
      std::vector<float> sums(job.model->gradient_size()), out(10 * 10);
      const int64_t before = AllocationsSoFar();
      EXPECT_GT(before, 0) << "the counter counts nothing";
      for (int step = 1; step <= 3; ++step) {  // the first one too
        executor->SetRows(7, step);
        executor->Gradient(job.weights.data(), step, 57 + step, sums.data());
        const double rate = LearningRate(job.spec.train(), step, 10, 100);
        optimizer->Apply(sums.data(), job.weights.data(), step, rate);
        executor->Predict(job.weights.data(), job.x.data(), 10, out.data());
      }
      EXPECT_EQ(AllocationsSoFar(), before) << kind << ", " << name;
    }
  }
}

// A small model of each kind of operation that sequences have.
v1::JobSpec Sequence(const std::string& kind) {
  v1::JobSpec spec;
  if (kind == "gpt") {
    v1::GptSpec& gpt = *spec.mutable_model()->mutable_gpt();
    gpt.set_layers(1);
    gpt.set_heads(2);
    gpt.set_width(16);
    gpt.set_context(8);
    gpt.set_bias(true);
    gpt.set_dropout(0.1);
    gpt.set_tie_weights(true);
  } else if (kind == "llama") {
    v1::LlamaSpec& llama = *spec.mutable_model()->mutable_llama();
    llama.set_layers(1);
    llama.set_heads(2);
    llama.set_key_value_heads(1);
    llama.set_width(16);
    llama.set_hidden(32);
    llama.set_context(8);
    llama.set_rope_theta(10000);
  } else {
    v1::RecurrentSpec& lstm = *spec.mutable_model()->mutable_lstm();
    lstm.set_layers(2);
    lstm.set_hidden(16);
    lstm.set_context(8);
  }
  return spec;
}

TEST(Allocation, StepOfASequenceModelAllocates) {
  for (const char* kind : {"gpt", "llama", "lstm"}) {
    const v1::JobSpec spec = Sequence(kind);
    const std::shared_ptr<const Model> model = *BuildModel(spec, 8, 20, v1::TASK_LANGUAGE_MODEL);
    std::vector<float> weights(model->flat_size()), sums(model->gradient_size());
    model->Initialize(1, weights.data());
    ExecutorOptions options;
    options.logical_shards = 2;
    options.shards = {0, 2};
    options.rows_per_shard = 3;
    const std::unique_ptr<Executor> executor = *MakeExecutor(model, spec, options);
    for (int i = 0; i < 48; ++i) executor->tokens()[i] = executor->classes()[i] = i % 20;
    const int64_t before = AllocationsSoFar();
    for (int step = 1; step <= 3; ++step) executor->Gradient(weights.data(), step, 6, sums.data());
    EXPECT_EQ(AllocationsSoFar(), before) << kind;
  }
}

TEST(Allocation, StepOfAGraphAllocates) {
  const GraphJob job(
      "{ graph: { input_shape: [4, 4, 2], layers: [{name: x, conv: {channels: 6, padding: 1}}, {max_pool: "
      "{}}, "
      "{name: s, reshape: {shape: [4, 6]}}, {name: a, attention: {heads: 3, rope_theta: 10}}, {name: b, "
      "inputs: [s, a], batch_norm: {activation: silu}}, {name: t, transpose: {axes: [1, 0]}}, {name: u, "
      "reshape: {shape: [4, 6]}}, {name: g, inputs: [b, u], swiglu: {}}, {gru: {hidden: 5}}, {lstm: {hidden: "
      "5}}, {layer_norm: {}}, {dropout: {probability: 0.2}}, {flatten: {}}, {linear: {}}] } }",
      32, 3);
  const std::unique_ptr<Executor> executor =
      *MakeExecutor(job.model, job.spec, job.Options({0, GraphJob::kShards}, nullptr));
  std::vector<float> sums(job.model->gradient_size());
  const int64_t before = AllocationsSoFar();
  for (int step = 1; step <= 3; ++step) executor->Gradient(job.weights.data(), step, 12, sums.data());
  EXPECT_EQ(AllocationsSoFar(), before);
}

}  // namespace
}  // namespace lockstep::engine
