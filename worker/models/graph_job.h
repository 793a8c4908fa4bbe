// Any model from YAML with random rows, for tests of graphs: gradients of any division of the work, and the
// loss at any weights.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "common/spec/spec.h"
#include "kernels/test_support.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

inline absl::StatusOr<v1::JobSpec> CompletedSpec(const std::string& model, v1::Task task) {
  const std::string dataset = task == v1::TASK_LANGUAGE_MODEL
                                  ? "{ path: a.txt, text: { sequence_length: 4 } }"
                              : task == v1::TASK_RECONSTRUCTION ? "{ path: a.csv, task: reconstruction }"
                                                                : "{ path: a.csv }";
  ASSIGN_OR_RETURN(v1::JobSpec spec,
                   ParseSpec("dataset: " + dataset + "\nmodel: " + model, "job.yaml", "", {}));
  RETURN_IF_ERROR(CompleteSpec(&spec));
  return spec;
}

class GraphJob {
 public:
  static constexpr int kShards = 4, kRowsPerShard = 3;

  GraphJob(const std::string& yaml, int features, int outputs, v1::Task task = v1::TASK_CLASSIFICATION) {
    absl::StatusOr<v1::JobSpec> completed = CompletedSpec(yaml, task);
    EXPECT_TRUE(completed.ok()) << completed.status() << "\n" << yaml;
    if (!completed.ok()) return;
    spec = *completed;
    spec.mutable_train()->clear_loss();
    absl::StatusOr<std::shared_ptr<const Model>> built = BuildModel(spec, features, outputs, task);
    EXPECT_TRUE(built.ok()) << built.status() << "\n" << yaml;
    if (!built.ok()) return;
    model = *built;
    weights.resize(model->flat_size());
    model->Initialize(7, weights.data());
    const int rows = kShards * kRowsPerShard;
    x = kernels::Random(int64_t{rows} * features, -1, 1, 1);
    targets = kernels::Random(int64_t{rows} * outputs, -1, 1, 2);
    const int vocabulary = std::min(outputs, model->outputs());
    for (int i = 0; i < rows * features; ++i) tokens.push_back(i * 7 % 5 * (i % 3) % vocabulary);
    for (int i = 0; i < rows * model->positions(); ++i) classes.push_back(i * 5 % vocabulary);
  }

  // Weights that are alike in size, so that every gradient counts; norms around one.
  void Shake(uint64_t seed) {
    const std::vector<float> noise = kernels::Random(model->flat_size(), -0.5f, 0.5f, seed);
    for (const Parameter& parameter : model->parameters()) {
      const bool gain = parameter.shape.size() == 1 && parameter.name.ends_with("weight");
      for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; ++i) {
        if (parameter.kind == Parameter::kWeight) weights[i] = noise[i] + (gain ? 1.0f : 0.0f);
      }
    }
  }

  ExecutorOptions Options(ShardRange shards, Team* team) const {
    ExecutorOptions options;
    options.logical_shards = kShards;
    options.shards = shards;
    options.rows_per_shard = kRowsPerShard;
    options.team = team;
    return options;
  }

  // One row for each node of the shards' reduction tree. The last shard is short.
  std::vector<float> Gradient(const std::vector<float>& at, ShardRange shards = {0, kShards},
                              Team* team = nullptr) const {
    const std::unique_ptr<Executor> executor = *MakeExecutor(model, spec, Options(shards, team));
    const int64_t features = model->features(), positions = model->positions();
    for (int s = shards.begin; s < shards.end; ++s) {
      const int64_t local = s - shards.begin;
      executor->SetRows(static_cast<int>(local), s + 1 == kShards ? 1 : kRowsPerShard);
      const int64_t to = local * kRowsPerShard, from = int64_t{s} * kRowsPerShard;
      if (model->reads_tokens()) {
        std::copy_n(&tokens[from * features], kRowsPerShard * features, executor->tokens() + to * features);
      } else {
        std::copy_n(&x[from * features], kRowsPerShard * features, executor->features() + to * features);
      }
      std::copy_n(&classes[from * positions], kRowsPerShard * positions,
                  executor->classes() + to * positions);
      if (model->loss() == v1::LOSS_MEAN_SQUARED_ERROR) {
        const int64_t outputs = model->outputs();
        std::copy_n(&targets[from * outputs], kRowsPerShard * outputs, executor->targets() + to * outputs);
      }
    }
    std::vector<float> sums(MaximalNodes(kShards, shards).size() * model->gradient_size(), 777.0f);
    executor->Gradient(at.data(), 1, kBatchRows, sums.data());
    return sums;
  }

  double Loss(const std::vector<float>& at) const {
    return double{Gradient(at)[model->flat_size() + kLossSum]} / (kBatchRows * model->positions());
  }

  v1::JobSpec spec;
  std::shared_ptr<const Model> model;
  std::vector<float> weights, x, targets;
  std::vector<int32_t> tokens, classes;

 private:
  static constexpr int kBatchRows = (kShards - 1) * kRowsPerShard + 1;
};

}  // namespace lockstep::engine
