// A small job with random rows for tests of whole models: any partition of its shards, summed as the
// collective would.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "kernels/test_support.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

class TestJob {
 public:
  struct Options {
    std::string kind;  // linear, softmax, svm, smoothed (softmax), autoencoder (tanh), or an MLP's activation
    int features = 1;
    int outputs = 1;
    std::vector<int> hidden = {};
    double dropout = 0;
    int shards = 8;
    int rows_per_shard = 3;
    bool regression = false;
    friend void PrintTo(const Options& options, std::ostream* out) { *out << options.kind; }
  };

  explicit TestJob(const Options& options)
      : features(options.features),
        outputs(options.outputs),
        shards(options.shards),
        rows_per_shard(options.rows_per_shard),
        task(options.kind == "autoencoder"                    ? v1::TASK_RECONSTRUCTION
             : options.regression || options.kind == "linear" ? v1::TASK_REGRESSION
                                                              : v1::TASK_CLASSIFICATION) {
    if (options.kind == "linear") {
      spec.mutable_model()->mutable_linear();
    } else if (options.kind == "softmax") {
      spec.mutable_model()->mutable_softmax();
    } else if (options.kind == "smoothed") {
      spec.mutable_model()->mutable_softmax();
      spec.mutable_train()->set_label_smoothing(0.2);
    } else if (options.kind == "svm") {
      spec.mutable_model()->mutable_svm();
    } else if (options.kind == "autoencoder") {
      v1::AutoencoderSpec& autoencoder = *spec.mutable_model()->mutable_autoencoder();
      for (int width : options.hidden) autoencoder.add_hidden(width);
      autoencoder.set_dropout(options.dropout);
      autoencoder.set_activation(v1::ACTIVATION_TANH);
    } else {
      v1::MlpSpec& mlp = *spec.mutable_model()->mutable_mlp();
      for (int width : options.hidden) mlp.add_hidden(width);
      mlp.set_dropout(options.dropout);
      mlp.set_activation(options.kind == "tanh"      ? v1::ACTIVATION_TANH
                         : options.kind == "sigmoid" ? v1::ACTIVATION_SIGMOID
                         : options.kind == "gelu"    ? v1::ACTIVATION_GELU
                                                     : v1::ACTIVATION_RELU);
    }
    Fill();
  }

  // A job of any model.
  TestJob(v1::ModelSpec model_spec, int feature_count, int output_count, int shard_count, int shard_rows,
          v1::Task of = v1::TASK_CLASSIFICATION)
      : features(feature_count),
        outputs(output_count),
        shards(shard_count),
        rows_per_shard(shard_rows),
        task(of) {
    *spec.mutable_model() = std::move(model_spec);
    Fill();
  }

  void Fill() {
    model = *BuildModel(spec, features, outputs, task);
    weights.resize(model->flat_size());
    model->Initialize(11, weights.data());
    x = kernels::Random(int64_t{rows()} * features, -1, 1, 1);
    targets = kernels::Random(int64_t{rows()} * outputs, -1, 1, 2);
    if (model->reads_tokens()) {
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = std::bit_cast<float>(static_cast<int32_t>(i * i % outputs));
    }
    for (int p = 0; p < rows() * model->positions(); ++p) classes.push_back(p * 7 % outputs);
    // The batch ends inside the last shard but one; the last is empty.
    real_rows.assign(shards, rows_per_shard);
    real_rows[shards - 1] = 0;
    real_rows[shards - 2] = rows_per_shard / 2;
  }

  int rows() const { return shards * rows_per_shard; }
  bool IsReal(int row) const { return row % rows_per_shard < real_rows[row / rows_per_shard]; }
  int batch_rows() const {
    int count = 0;
    for (int n : real_rows) count += n;
    return count;
  }
  const Parameter& Find(const std::string& name) const {
    for (const Parameter& parameter : model->parameters()) {
      if (parameter.name == name) return parameter;
    }
    ADD_FAILURE() << "no parameter " << name;
    return model->parameters()[0];
  }

  // An executor of these shards, with its rows filled in.
  std::unique_ptr<Executor> MakeRank(ShardRange range, Team* team = nullptr) const {
    ExecutorOptions options;
    options.logical_shards = shards;
    options.shards = range;
    options.rows_per_shard = rows_per_shard;
    options.seed = seed;
    options.team = team;
    std::unique_ptr<Executor> executor = *MakeExecutor(model, spec, options);
    for (int s = range.begin; s < range.end; ++s) {
      const int local = s - range.begin;
      executor->SetRows(local, real_rows[s]);
      for (int r = 0; r < rows_per_shard; ++r) {
        const int to = local * rows_per_shard + r, from = s * rows_per_shard + r;
        std::copy_n(x.begin() + from * features, features, executor->features() + to * features);
        if (model->loss() == v1::LOSS_MEAN_SQUARED_ERROR) {
          std::copy_n(targets.begin() + from * outputs, outputs, executor->targets() + to * outputs);
        }
        const int positions = model->positions();
        std::copy_n(classes.begin() + from * positions, positions, executor->classes() + to * positions);
      }
    }
    return executor;
  }

  std::vector<float> PartitionedGradient(const std::vector<float>& at, int64_t step, int world,
                                         Team* team = nullptr) const {
    std::vector<TreeNode> nodes;
    std::vector<std::vector<float>> sums;
    for (int rank = 0; rank < world; ++rank) {
      const ShardRange range = ShardsOfRank(shards, world, rank);
      const std::vector<TreeNode> mine = MaximalNodes(shards, range);
      const int64_t size = model->gradient_size();
      std::vector<float> out(mine.size() * size, 777.0f);
      MakeRank(range, team)->Gradient(at.data(), step, batch_rows(), out.data());
      for (size_t n = 0; n < mine.size(); ++n) {
        nodes.push_back(mine[n]);
        sums.emplace_back(out.begin() + n * size, out.begin() + (n + 1) * size);
      }
    }
    const TreeSchedule schedule = ScheduleFor(Root(shards), shards, nodes);
    for (const TreeAdd& add : schedule.adds) {
      for (size_t i = 0; i < sums[0].size(); ++i) sums[add.target][i] += sums[add.source][i];
    }
    return sums[schedule.result];
  }

  std::vector<float> WholeGradient(const std::vector<float>& at, int64_t step) const {
    return PartitionedGradient(at, step, 1);
  }

  int features, outputs, shards, rows_per_shard;
  v1::Task task;
  uint64_t seed = 42;
  v1::JobSpec spec;
  std::shared_ptr<const Model> model;
  std::vector<float> weights, x, targets;  // x: the bits of tokens where the model reads them
  std::vector<int32_t> classes;
  std::vector<int> real_rows;
};

}  // namespace lockstep::engine
