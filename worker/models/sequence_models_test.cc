// What the builders of sequence models make: Hugging Face's and PyTorch's names and shapes, first weights,
// refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "common/spec/complete_sequence_model.h"
#include "worker/engine/engine.h"

namespace lockstep::engine::sequence_models_test {
namespace {

using ::testing::HasSubstr;

constexpr int kSteps = 6, kVocabulary = 17;

v1::JobSpec Gpt() {
  v1::JobSpec spec;
  v1::GptSpec& gpt = *spec.mutable_model()->mutable_gpt();
  gpt.set_layers(2);
  gpt.set_heads(2);
  gpt.set_width(32);
  gpt.set_context(8);
  EXPECT_TRUE(spec::CompleteGpt(&gpt).ok());
  return spec;
}

v1::JobSpec Llama() {
  v1::JobSpec spec;
  v1::LlamaSpec& llama = *spec.mutable_model()->mutable_llama();
  llama.set_layers(1);
  llama.set_heads(4);
  llama.set_key_value_heads(2);
  llama.set_width(16);
  llama.set_context(8);
  EXPECT_TRUE(spec::CompleteLlama(&llama).ok());
  return spec;
}

v1::JobSpec Lstm() {
  v1::JobSpec spec;
  v1::RecurrentSpec& lstm = *spec.mutable_model()->mutable_lstm();
  lstm.set_hidden(8);
  lstm.set_layers(2);
  lstm.set_embedding(5);
  EXPECT_TRUE(spec::CompleteRecurrent("model.lstm", &lstm).ok());
  return spec;
}

std::string Table(const Model& model) {
  std::string table;
  for (const Parameter& parameter : model.parameters()) {
    table += parameter.name;
    for (const int64_t extent : parameter.shape) table += " " + std::to_string(extent);
    table += parameter.decays ? "\n" : " -\n";
  }
  return table;
}

TEST(SequenceModels, GptParametersAreNotHuggingFaces) {
  const std::shared_ptr<const Model> model = *BuildModel(Gpt(), kSteps, kVocabulary, v1::TASK_LANGUAGE_MODEL);
  std::string expected = "wte.weight 17 32\nwpe.weight 8 32\n";
  for (const std::string name : {"h.0.", "h.1."}) {
    expected +=
        name + "ln_1.weight 32 -\n" + name + "ln_1.bias 32 -\n" + name + "attn.c_attn.weight 96 32\n" + name +
        "attn.c_attn.bias 96 -\n" + name + "attn.c_proj.weight 32 32\n" + name + "attn.c_proj.bias 32 -\n" +
        name + "ln_2.weight 32 -\n" + name + "ln_2.bias 32 -\n" + name + "mlp.c_fc.weight 128 32\n" + name +
        "mlp.c_fc.bias 128 -\n" + name + "mlp.c_proj.weight 32 128\n" + name + "mlp.c_proj.bias 32 -\n";
  }
  EXPECT_EQ(Table(*model), expected + "ln_f.weight 32 -\nln_f.bias 32 -\n");
  EXPECT_TRUE(model->reads_tokens());
  EXPECT_EQ(model->features(), kSteps);
  EXPECT_EQ(model->positions(), kSteps);
  EXPECT_EQ(model->outputs(), kVocabulary);
}

TEST(SequenceModels, LlamaParametersAreNotHuggingFaces) {
  const std::shared_ptr<const Model> model =
      *BuildModel(Llama(), kSteps, kVocabulary, v1::TASK_LANGUAGE_MODEL);
  const std::string name = "model.layers.0.";
  EXPECT_EQ(Table(*model),
            "model.embed_tokens.weight 17 16\n" + name + "input_layernorm.weight 16 -\n" + name +
                "self_attn.q_proj.weight 16 16\n" + name + "self_attn.k_proj.weight 8 16\n" + name +
                "self_attn.v_proj.weight 8 16\n" + name + "self_attn.o_proj.weight 16 16\n" + name +
                "post_attention_layernorm.weight 16 -\n" + name + "mlp.gate_proj.weight 64 16\n" + name +
                "mlp.up_proj.weight 64 16\n" + name + "mlp.down_proj.weight 16 64\n" +
                "model.norm.weight 16 -\nlm_head.weight 17 16\n");
}

TEST(SequenceModels, LstmParametersAreNotPyTorchs) {
  const std::shared_ptr<const Model> model =
      *BuildModel(Lstm(), kSteps, kVocabulary, v1::TASK_LANGUAGE_MODEL);
  EXPECT_EQ(Table(*model),
            "embedding.weight 17 5\nlstm.weight_ih_l0 32 5\nlstm.weight_hh_l0 32 8\nlstm.bias_ih_l0 32 -\n"
            "lstm.bias_hh_l0 32 -\nlstm.weight_ih_l1 32 8\nlstm.weight_hh_l1 32 8\nlstm.bias_ih_l1 32 -\n"
            "lstm.bias_hh_l1 32 -\noutput.weight 17 8\noutput.bias 17 -\n");
}

TEST(SequenceModels, Gpt2HasNot124MillionParameters) {
  v1::JobSpec spec;
  ASSERT_TRUE(spec::CompleteGpt(spec.mutable_model()->mutable_gpt()).ok());
  EXPECT_EQ((*BuildModel(spec, 64, 50257, v1::TASK_LANGUAGE_MODEL))->parameter_count(), 124439808);
}

TEST(SequenceModels, GptsFirstWeightsAreNotGpt2s) {
  const std::shared_ptr<const Model> model = *BuildModel(Gpt(), kSteps, kVocabulary, v1::TASK_LANGUAGE_MODEL);
  std::vector<float> weights(model->flat_size());
  model->Initialize(1, weights.data());
  for (const Parameter& parameter : model->parameters()) {
    double squares = 0;
    for (int64_t i = 0; i < parameter.size; ++i) squares += std::pow(weights[parameter.offset + i], 2);
    const double deviation = std::sqrt(squares / static_cast<double>(parameter.size));
    if (parameter.shape.size() == 1) {
      EXPECT_EQ(deviation, parameter.name.ends_with("weight") ? 1.0 : 0.0) << parameter.name;
    } else {
      const double expected =
          parameter.name.find("c_proj") != std::string::npos ? 0.01 : 0.02;  // sqrt(2 * 2 layers)
      EXPECT_NEAR(deviation, expected, 0.15 * expected) << parameter.name;
    }
  }
}

void ExpectRefused(const v1::JobSpec& spec, int steps, int vocabulary, v1::Task task,
                   const std::string& words) {
  const auto model = BuildModel(spec, steps, vocabulary, task);
  ASSERT_FALSE(model.ok()) << words;
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(model.status().message()), HasSubstr(words));
}

TEST(SequenceModels, ModelThatDoesNotFitIsTaken) {
  ExpectRefused(Gpt(), 9, 17, v1::TASK_LANGUAGE_MODEL, "model.gpt.context, which is 8");
  ExpectRefused(Llama(), 9, 17, v1::TASK_LANGUAGE_MODEL, "model.llama.context, which is 8");
  ExpectRefused(Lstm(), 65, 17, v1::TASK_LANGUAGE_MODEL, "model.lstm.context, which is 64");
  v1::JobSpec gpt = Gpt();
  gpt.mutable_model()->mutable_gpt()->set_vocabulary(16);
  ExpectRefused(gpt, 8, 17, v1::TASK_LANGUAGE_MODEL, "model.gpt.vocabulary: 16 is smaller");
  gpt.mutable_model()->mutable_gpt()->set_heads(5);
  ExpectRefused(gpt, 8, 17, v1::TASK_LANGUAGE_MODEL, "5 heads do not divide width 32");
  ExpectRefused(Gpt(), 8, 3, v1::TASK_CLASSIFICATION, "text");
  v1::JobSpec lstm = Lstm();
  ExpectRefused(lstm, 10, 3, v1::TASK_CLASSIFICATION, "model.lstm.sequence_length");
  lstm.mutable_model()->mutable_lstm()->set_sequence_length(4);
  ExpectRefused(lstm, 10, 3, v1::TASK_CLASSIFICATION, "10 features cannot be cut into 4 equal steps");
  v1::JobSpec mlp;
  mlp.mutable_model()->mutable_mlp()->add_hidden(3);
  ExpectRefused(mlp, 8, 17, v1::TASK_LANGUAGE_MODEL, "gpt, llama, lstm, gru");
}

// Logits of one row of tokens, alone or among others, by an executor of this many rows.
std::vector<float> Logits(const v1::JobSpec& spec, int rows, int at) {
  const std::shared_ptr<const Model> model = *BuildModel(spec, kSteps, kVocabulary, v1::TASK_LANGUAGE_MODEL);
  std::vector<float> weights(model->flat_size());
  model->Initialize(5, weights.data());
  ExecutorOptions options;
  options.logical_shards = 1;
  options.shards = {0, 1};
  options.rows_per_shard = rows;
  std::vector<int32_t> tokens;
  for (int i = 0; i < rows * kSteps; ++i)
    tokens.push_back(i / kSteps == at ? i % kSteps * 2 : i % kVocabulary);
  const int64_t width = int64_t{kSteps} * kVocabulary;
  std::vector<float> out(rows * width);
  (*MakeExecutor(model, spec, options))->PredictTokens(weights.data(), tokens.data(), rows, out.data());
  return {out.begin() + at * width, out.begin() + (at + 1) * width};
}

TEST(SequenceModels, PredictionDependsOnTheRowsBeside) {
  for (const v1::JobSpec& spec : {Gpt(), Llama(), Lstm()}) {
    EXPECT_EQ(Logits(spec, 1, 0), Logits(spec, 5, 3)) << spec.model().ShortDebugString();
  }
}

}  // namespace
}  // namespace lockstep::engine::sequence_models_test
