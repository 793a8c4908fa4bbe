#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/pretrained/config.h"
#include "common/spec/spec.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// What is said of a config.json with this text, "" if nothing.
std::string Said(const std::string& model, const std::string& config, bool whole = true) {
  const std::string path = testing::TempDir() + "/pretrained_config.json";
  std::ofstream(path) << config;
  auto spec = ParseSpec("dataset: { path: x.txt }\nmodel: " + model, "job.yaml", "", {});
  EXPECT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(CompleteSpec(&*spec).ok());
  const absl::Status status = CheckPretrainedConfig(path, spec->model(), whole);
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument);
  std::filesystem::remove(path);
  return std::string(status.message());
}

constexpr char kGpt[] = "{ gpt: { layers: 2, heads: 4, width: 32, context: 16 } }";
constexpr char kLlama[] =
    "{ llama: { layers: 2, heads: 4, key_value_heads: 2, width: 32, hidden: 64, rope_theta: 500000 } }";

TEST(PretrainedConfigTest, EqualModelIsRefused) {
  EXPECT_EQ(Said(kGpt, R"({"model_type":"gpt2","n_head":4,"n_layer":2,"n_embd":32,"n_positions":16})"), "");
  const std::string llama =
      R"({"model_type":"llama","num_attention_heads":4,"num_key_value_heads":2,"num_hidden_layers":2,
          "hidden_size":32,"intermediate_size":64,"rms_norm_eps":1e-05,)";
  EXPECT_EQ(Said(kLlama, llama + R"("rope_theta":500000.0,"rope_scaling":null})"), "");
  EXPECT_EQ(Said(kLlama, llama + R"("rope_parameters":{"rope_theta":500000.0,"rope_type":"default"}})"), "");
}

TEST(PretrainedConfigTest, WhatShapesDoNotTellIsOverlooked) {
  EXPECT_THAT(
      Said(kGpt, R"({"model_type":"gpt2","n_head":8,"activation_function":"relu","layer_norm_epsilon":1e-6})",
           false),
      AllOf(HasSubstr("model.gpt.heads is 4, n_head is 8"), HasSubstr("activation_function is \"relu\""),
            HasSubstr("layer_norm_epsilon is 1e-06"), Not(HasSubstr("layers"))));
  EXPECT_THAT(
      Said(kLlama, R"({"model_type":"llama","num_attention_heads":8,"rope_scaling":{"rope_type":"llama3"}})",
           false),
      AllOf(HasSubstr("model.llama.heads is 4, num_attention_heads is 8"),
            HasSubstr("model.llama.key_value_heads is 2, num_key_value_heads is 8"),
            HasSubstr("model.llama.norm_epsilon is 1e-05, rms_norm_eps is 1e-06"),
            HasSubstr("model.llama.rope_theta is 500000.0, rope_theta is 10000.0"),
            HasSubstr("rope_scaling: rope_type is \"llama3\"")));
}

TEST(PretrainedConfigTest, SizesAreComparedWhereAHeadIsNew) {
  const std::string config =
      R"({"model_type":"gpt2","n_head":4,"n_layer":12,"n_positions":1024,"n_embd":32})";
  EXPECT_EQ(Said(kGpt, config, false), "");
  EXPECT_THAT(Said(kGpt, config), AllOf(HasSubstr("model.gpt.layers is 2, n_layer is 12"),
                                        HasSubstr("model.gpt.context is 16, n_positions is 1024")));
}

TEST(PretrainedConfigTest, OtherArchitectureIsTaken) {
  EXPECT_THAT(Said(kGpt, R"({"model_type":"llama"})"),
              HasSubstr("'llama', model.gpt reads 'gpt2'; describe it by model.llama"));
  EXPECT_THAT(Said(kLlama, R"({"model_type":"bert"})"),
              HasSubstr("gpt2 and llama are the kinds that are read"));
  EXPECT_EQ(Said("{ mlp: { hidden: [4] } }", R"({"model_type":"bert"})"), "") << "its tensors' names tell";
}

TEST(PretrainedConfigTest, HostileFileIsBelieved) {
  for (const char* hostile : {"", "[", "[1]", "\xff", "3"}) {
    EXPECT_THAT(Said(kGpt, hostile), HasSubstr("expected a JSON object")) << hostile;
  }
  EXPECT_EQ(Said(kGpt, R"({"model_type":7})"), "");
  EXPECT_THAT(
      Said(kLlama,
           R"({"model_type":"llama","num_attention_heads":"x","num_key_value_heads":[],"rope_theta":{}})"),
      HasSubstr("num_attention_heads is \"x\""));
}

// What is said of a model's folder of ours with this spec.yaml.
std::string SaidOfSpec(const std::string& model, const std::string& theirs) {
  const std::string path = testing::TempDir() + "/pretrained_spec.yaml";
  std::ofstream(path) << "dataset: { path: x.csv, label: y }\nmodel: " + theirs;
  auto spec = ParseSpec("dataset: { path: x.csv, label: y }\nmodel: " + model, "job.yaml", "", {});
  EXPECT_TRUE(spec.ok() && CompleteSpec(&*spec).ok());
  const std::string said(CheckPretrainedSpec(path, spec->model()).message());
  std::filesystem::remove(path);
  return said;
}

TEST(PretrainedConfigTest, OurOwnModelWithOtherHeadsIsTaken) {
  EXPECT_EQ(SaidOfSpec("{ mlp: { hidden: [4] } }", "{ mlp: { hidden: [4, 8], dropout: 0.5 } }"), "");
  EXPECT_THAT(SaidOfSpec("{ mlp: { hidden: [4] } }", "{ mlp: { hidden: [4], activation: tanh } }"),
              HasSubstr("model.mlp.activation is \"relu\", there \"tanh\""));
  EXPECT_EQ(SaidOfSpec("{ mlp: { hidden: [4] } }", "{ softmax: {} }"), "");
  EXPECT_THAT(SaidOfSpec("{ svm: {} }", "{ svn: {} }"), HasSubstr("did you mean 'svm'"));
}

}  // namespace
}  // namespace lockstep
