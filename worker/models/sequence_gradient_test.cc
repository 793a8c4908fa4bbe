// Gradients of small sequence models: against the models' own definition in float64, and bit for bit between
// ranks and threads.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ostream>

#include "kernels/test_support.h"
#include "worker/engine/engine.h"
#include "worker/engine/team.h"
#include "worker/models/sequence_reference.h"

namespace lockstep::engine::sequence_gradient_test {
namespace {

constexpr int kShards = 4, kRowsPerShard = 2, kSteps = 5, kVocabulary = 11;
constexpr int kBatchRows = 6;  // the last shard is empty

struct Case {
  const char* name;
  v1::ModelSpec model;
  int features = kSteps, outputs = kVocabulary;
  v1::Task task = v1::TASK_LANGUAGE_MODEL;
  friend void PrintTo(const Case& at, std::ostream* out) { *out << at.name; }
};

Case Gpt(const char* name, bool tied, bool bias) {
  Case at{name, {}};
  v1::GptSpec& gpt = *at.model.mutable_gpt();
  gpt.set_layers(2);
  gpt.set_heads(2);
  gpt.set_width(6);
  gpt.set_context(kSteps + 2);
  gpt.set_bias(bias);
  gpt.set_tie_weights(tied);
  if (tied) gpt.set_vocabulary(kVocabulary + 3);
  return at;
}

Case Llama(const char* name, int key_value_heads, bool tied) {
  Case at{name, {}};
  v1::LlamaSpec& llama = *at.model.mutable_llama();
  llama.set_layers(2);
  llama.set_heads(4);
  llama.set_key_value_heads(key_value_heads);
  llama.set_width(8);
  llama.set_hidden(10);
  llama.set_context(kSteps);
  llama.set_rope_theta(100);
  llama.set_norm_epsilon(1e-5);
  llama.set_tie_weights(tied);
  return at;
}

Case Recurrent(const char* name, bool lstm, bool tokens) {
  Case at{name, {}};
  v1::RecurrentSpec& recurrent = lstm ? *at.model.mutable_lstm() : *at.model.mutable_gru();
  recurrent.set_hidden(7);
  recurrent.set_layers(2);
  recurrent.set_context(kSteps);
  recurrent.set_embedding(5);
  recurrent.set_sequence_length(kSteps);
  if (!tokens) {
    at.features = kSteps * 3;
    at.outputs = 4;
    at.task = v1::TASK_CLASSIFICATION;
  }
  return at;
}

class SequenceGradient : public testing::TestWithParam<Case> {
 protected:
  SequenceGradient() {
    *spec_.mutable_model() = GetParam().model;
    model_ = *BuildModel(spec_, GetParam().features, GetParam().outputs, GetParam().task);
    weights_ = kernels::Random(model_->flat_size(), -0.6f, 0.6f, 1);
    for (const Parameter& parameter : model_->parameters()) {
      for (int64_t i = 0; i < parameter.size; ++i) {
        // Norms around one.
        if (parameter.shape.size() == 1 && parameter.name.ends_with("weight"))
          weights_[parameter.offset + i] += 1.0f;
      }
    }
    const int rows = kShards * kRowsPerShard;
    x_ = kernels::Random(rows * model_->features(), -1, 1, 2);
    for (int i = 0; i < rows * kSteps; ++i) {
      tokens_.push_back(i * 7 % 5 * (i % 3) % kVocabulary);
      classes_.push_back(i * 5 % GetParam().outputs);
    }
  }

  std::vector<float> Gradient(ShardRange shards, Team* team) const {
    ExecutorOptions options;
    options.logical_shards = kShards;
    options.shards = shards;
    options.rows_per_shard = kRowsPerShard;
    options.team = team;
    const std::unique_ptr<Executor> executor = *MakeExecutor(model_, spec_, options);
    const int features = model_->features(), positions = model_->positions();
    for (int s = shards.begin; s < shards.end; ++s) {
      const int local = s - shards.begin;
      executor->SetRows(local, std::max(0, std::min(kRowsPerShard, kBatchRows - s * kRowsPerShard)));
      for (int r = 0; r < kRowsPerShard; ++r) {
        const int to = local * kRowsPerShard + r, from = s * kRowsPerShard + r;
        if (model_->reads_tokens()) {
          std::copy_n(&tokens_[from * features], features, executor->tokens() + to * features);
        } else {
          std::copy_n(&x_[from * features], features, executor->features() + to * features);
        }
        std::copy_n(&classes_[from * positions], positions, executor->classes() + to * positions);
      }
    }
    std::vector<float> sums(MaximalNodes(kShards, shards).size() * model_->gradient_size(), 777.0f);
    executor->Gradient(weights_.data(), 1, kBatchRows, sums.data());
    return sums;
  }

  double ReferenceLoss(const std::vector<double>& weights) const {
    const SequenceReference reference(GetParam().model, *model_, weights);
    const int features = model_->features(), positions = model_->positions();
    double sum = 0;
    for (int r = 0; r < kBatchRows; ++r) {
      sum += model_->reads_tokens()
                 ? reference.Loss(&tokens_[r * features], nullptr, kSteps, &classes_[r * positions])
                 : reference.Loss(nullptr, &x_[r * features], kSteps, &classes_[r * positions]);
    }
    return sum / (kBatchRows * positions);
  }

  v1::JobSpec spec_;
  std::shared_ptr<const Model> model_;
  std::vector<float> weights_, x_;
  std::vector<int32_t> tokens_, classes_;
};

INSTANTIATE_TEST_SUITE_P(Models, SequenceGradient,
                         testing::Values(Gpt("GptTied", true, true), Gpt("GptUntied", false, false),
                                         Llama("Llama", 4, false), Llama("LlamaGroupedTied", 2, true),
                                         Recurrent("LstmTokens", true, true),
                                         Recurrent("GruTokens", false, true),
                                         Recurrent("LstmNumbers", true, false),
                                         Recurrent("GruNumbers", false, false)),
                         [](const auto& model) { return model.param.name; });

TEST_P(SequenceGradient, DiffersFromFiniteDifferencesOfFloat64) {
  const std::vector<float> gradient = Gradient({0, kShards}, nullptr);
  std::vector<double> weights(weights_.begin(), weights_.end());
  EXPECT_NEAR(gradient[model_->flat_size() + kLossSum] / (kBatchRows * model_->positions()),
              ReferenceLoss(weights), 5e-6);
  for (const Parameter& parameter : model_->parameters()) {
    // Every element of small parameters; of the large ones enough to see each row and column.
    const int64_t stride = parameter.size > 30 ? 7 : 1;
    for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; i += stride) {
      const double kept = weights[i], h = 1e-5;
      weights[i] = kept + h;
      const double above = ReferenceLoss(weights);
      weights[i] = kept - h;
      const double below = ReferenceLoss(weights);
      weights[i] = kept;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * h), 5e-6)
          << parameter.name << "[" << i - parameter.offset << "]";
    }
  }
}

TEST_P(SequenceGradient, BitsDependOnTheRanks) {
  const std::vector<float> expected = Gradient({0, kShards}, nullptr);
  for (const int world : {2, 3, 4}) {
    std::vector<TreeNode> nodes;
    std::vector<std::vector<float>> sums;
    for (int rank = 0; rank < world; ++rank) {
      const ShardRange range = ShardsOfRank(kShards, world, rank);
      const std::vector<float> mine = Gradient(range, nullptr);
      int at = 0;
      for (const TreeNode& node : MaximalNodes(kShards, range)) {
        nodes.push_back(node);
        sums.emplace_back(mine.begin() + at * model_->gradient_size(),
                          mine.begin() + (at + 1) * model_->gradient_size());
        ++at;
      }
    }
    const TreeSchedule schedule = ScheduleFor(Root(kShards), kShards, nodes);
    for (const TreeAdd& add : schedule.adds) {
      for (size_t i = 0; i < sums[0].size(); ++i) sums[add.target][i] += sums[add.source][i];
    }
    EXPECT_EQ(std::memcmp(sums[schedule.result].data(), expected.data(), expected.size() * sizeof(float)), 0)
        << world << " ranks";
  }
}

TEST_P(SequenceGradient, BitsDependOnTheThreads) {
  const std::vector<float> expected = Gradient({0, kShards}, nullptr);
  for (const int threads : {2, 3}) {
    Team team(threads);
    EXPECT_EQ(Gradient({0, kShards}, &team), expected) << threads << " threads";
  }
}

}  // namespace
}  // namespace lockstep::engine::sequence_gradient_test
