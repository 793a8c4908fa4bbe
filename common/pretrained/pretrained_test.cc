#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/checkpoint/safetensors.h"
#include "common/pretrained/export.h"
#include "common/pretrained/half.h"
#include "common/pretrained/import.h"
#include "common/pretrained/layout.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class PretrainedTest : public testing::Test {
 protected:
  PretrainedTest()
      : folder_(std::filesystem::temp_directory_path() / ("pretrained-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    for (int i = 0; i < 24; ++i) numbers_.push_back(static_cast<float>(i));
  }
  ~PretrainedTest() override { std::filesystem::remove_all(folder_); }

  TensorView Tensor(const std::string& name, std::vector<int64_t> shape) const {
    return {name, DType::kF32, std::move(shape), numbers_.data()};
  }
  std::string Write(const std::vector<TensorView>& tensors) const {
    const std::string path = folder_ / "model.safetensors";
    EXPECT_TRUE(WriteSafetensors(path, tensors, {}).ok());
    return path;
  }
  // Targets of these shapes, in `read_`.
  std::vector<PretrainedTarget> Targets(
      const std::vector<std::pair<std::string, std::vector<int64_t>>>& wanted) {
    read_.assign(wanted.size(), std::vector<float>(24, -1.0f));
    std::vector<PretrainedTarget> targets;
    for (size_t i = 0; i < wanted.size(); ++i)
      targets.push_back({wanted[i].first, wanted[i].second, read_[i].data()});
    return targets;
  }

  const std::filesystem::path folder_;
  std::vector<float> numbers_;
  std::vector<std::vector<float>> read_;
};

TEST_F(PretrainedTest, Conv1dWeightIsReadUntransposed) {
  const std::string path =
      Write({Tensor("transformer.h.0.attn.c_attn.weight", {2, 6}),
             Tensor("transformer.h.0.attn.c_proj.weight", {2, 2}),
             Tensor("transformer.h.0.attn.bias", {1, 1, 2, 2}), Tensor("lm_head.weight", {3, 2})});
  PretrainedOptions options;
  options.path = folder_;  // the folder that holds it
  const auto fresh = ImportPretrained(
      options, Targets({{"h.0.attn.c_attn.weight", {6, 2}}, {"h.0.attn.c_proj.weight", {2, 2}}}));
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_TRUE(fresh->empty());
  read_[0].resize(12);
  read_[1].resize(4);
  EXPECT_THAT(read_[0], ElementsAre(0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11));
  EXPECT_THAT(read_[1], ElementsAre(0, 2, 1, 3));  // square: the file's layout is known from the other
}

TEST_F(PretrainedTest, MissingLeftOverAndMisshapenAreNotNamed) {
  PretrainedOptions options;
  options.path = Write({Tensor("layers.0.wieght", {2, 2}), Tensor("layers.1.weight", {3, 2})});
  const auto fresh =
      ImportPretrained(options, Targets({{"layers.0.weight", {2, 2}}, {"layers.1.weight", {2, 3}}}));
  ASSERT_EQ(fresh.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(fresh.status().message());
  EXPECT_THAT(message,
              HasSubstr("1 parameter is missing in the file: layers.0.weight (nearest: layers.0.wieght)"));
  EXPECT_THAT(message, HasSubstr("1 tensor is left over: layers.0.wieght (nearest: layers.0.weight)"));
  EXPECT_THAT(message, HasSubstr("layers.1.weight expects (2, 3), layers.1.weight has (3, 2)"));
  EXPECT_EQ(read_[0][0], -1.0f) << "a file that does not fit changes nothing";
}

TEST_F(PretrainedTest, NewHeadAndGivenNameAreIgnored) {
  PretrainedOptions options;
  options.path = Write({Tensor("encoder.kernel", {2, 2}), Tensor("head.weight", {5, 2})});
  options.names = {{"layers.0.weight", "encoder.kernel"}};
  options.fresh = {"head.*"};
  const auto fresh =
      ImportPretrained(options, Targets({{"layers.0.weight", {2, 2}}, {"head.weight", {3, 2}}}));
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_THAT(*fresh, ElementsAre("head.weight"));
  EXPECT_EQ(read_[0][3], 3.0f);
  EXPECT_EQ(read_[1][0], -1.0f);
  options.names = {{"layers.0.weigth", "encoder.kernel"}};
  EXPECT_THAT(
      std::string(ImportPretrained(options, Targets({{"layers.0.weight", {2, 2}}})).status().message()),
      HasSubstr("no parameter layers.0.weigth (nearest: layers.0.weight)"));
}

TEST_F(PretrainedTest, ForeignOutputLayerOfATiedModelIsDroppedInSilence) {
  const std::vector<float> other(24, 0.5f);
  PretrainedOptions options;
  options.path = Write(
      {Tensor("transformer.wte.weight", {3, 2}), {"lm_head.weight", DType::kF32, {3, 2}, other.data()}});
  EXPECT_THAT(std::string(ImportPretrained(options, Targets({{"wte.weight", {3, 2}}})).status().message()),
              AllOf(HasSubstr("1 tensor is left over: lm_head.weight"), HasSubstr("tie_weights: false")));
  options.fresh = {"lm_head.*"};
  EXPECT_TRUE(ImportPretrained(options, Targets({{"wte.weight", {3, 2}}})).ok()) << "an old head";
  options.fresh = {};
  options.path = Write({Tensor("wte.weight", {3, 2}), Tensor("lm_head.weight", {3, 2})});
  EXPECT_TRUE(ImportPretrained(options, Targets({{"wte.weight", {3, 2}}})).ok()) << "the embedding once more";
}

TEST_F(PretrainedTest, MissingOutputLayerIsNotExplained) {
  PretrainedOptions options;
  options.path = Write({Tensor("wte.weight", {3, 2})});
  EXPECT_THAT(
      std::string(ImportPretrained(options, Targets({{"wte.weight", {3, 2}}, {"lm_head.weight", {3, 2}}}))
                      .status()
                      .message()),
      AllOf(HasSubstr("missing in the file: lm_head.weight"), HasSubstr("tie_weights: true")));
}

TEST_F(PretrainedTest, OtherVocabularyIsNotExplained) {
  PretrainedOptions options;
  options.path = Write({Tensor("wte.weight", {4, 2})});
  const auto said = [&](int64_t tokens) {
    return std::string(ImportPretrained(options, Targets({{"wte.weight", {tokens, 2}}})).status().message());
  };
  EXPECT_THAT(said(3), AllOf(HasSubstr("wte.weight expects (3, 2), wte.weight has (4, 2)"),
                             HasSubstr("set the model's vocabulary to 4")));
  EXPECT_THAT(said(5), AllOf(HasSubstr("The file's vocabulary has 4 tokens, the dataset's 5"),
                             HasSubstr("list wte.weight in from.fresh")));
}

TEST_F(PretrainedTest, FreshPatternThatMatchesNothingIsTaken) {
  PretrainedOptions options;
  options.path = Write({Tensor("wte.weight", {3, 2})});
  options.fresh = {"wet.weight"};
  EXPECT_THAT(std::string(ImportPretrained(options, Targets({{"wte.weight", {3, 2}}})).status().message()),
              AllOf(HasSubstr("from.fresh"), HasSubstr("wet.weight (nearest: wte.weight)")));
}

TEST_F(PretrainedTest, ThousandMisfitsAreAllListed) {
  std::vector<TensorView> tensors;
  for (int i = 0; i < 1000; ++i) tensors.push_back(Tensor("theirs." + std::to_string(i), {1}));
  PretrainedOptions options;
  options.path = Write(tensors);
  const std::string said(ImportPretrained(options, Targets({{"ours", {1}}})).status().message());
  EXPECT_THAT(said, HasSubstr("1000 tensors are left over: theirs.0"));
  EXPECT_THAT(said, HasSubstr(" and 990 more"));
  EXPECT_LT(said.size(), 1200u);
}

TEST_F(PretrainedTest, NumberOfAnotherKindIsTakenForAWeight) {
  const int32_t numbers[] = {1, 2};
  const bool mask[] = {true};
  PretrainedOptions options;
  options.path =
      Write({{"layers.0.weight", DType::kI32, {2}, numbers}, {"h.0.attn.bias", DType::kBool, {1}, mask}});
  EXPECT_THAT(std::string(ImportPretrained(options, Targets({{"layers.0.weight", {2}}})).status().message()),
              HasSubstr("1 tensor is not of floating point: layers.0.weight"));
}

TEST(Layout, BiasOfAProjectionIsTakenForAMask) {
  EXPECT_TRUE(IsKnownBuffer("transformer.h.0.attn.bias"));
  EXPECT_TRUE(IsKnownBuffer("h.0.attn.masked_bias"));
  EXPECT_FALSE(IsKnownBuffer("h.0.attn.c_attn.bias"));
}

TEST(Half, ValueIsConvertedWrongly) {
  const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000}, brains[] = {0x3f80, 0xc000};
  float out[5];
  ToFloat(DType::kF16, halves, 5, out);
  EXPECT_THAT(out, ElementsAre(1.0f, -2.0f, 5.9604644775390625e-08f, 65504.0f, -0.0f));
  ToFloat(DType::kBF16, brains, 2, out);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], -2.0f);
}

TEST_F(PretrainedTest, ExportKeepsOurLayout) {
  const std::string model = folder_ / "model", output = folder_ / "out";
  std::filesystem::create_directories(model);
  std::ofstream(model + "/spec.yaml")
      << "dataset: { path: x.txt }\n"
         "model: { gpt: { layers: 1, heads: 1, width: 2, context: 4, tie_weights: true } }\n"
         "train: { epochs: 1 }\n";
  ASSERT_TRUE(WriteSafetensors(model + "/model.safetensors",
                               {Tensor("wte.weight", {5, 2}), Tensor("wpe.weight", {4, 2}),
                                Tensor("h.0.attn.c_attn.weight", {6, 2})},
                               {})
                  .ok());
  ASSERT_TRUE(ExportHuggingFace(model, output).ok());
  const auto file = SafetensorsFile::Open(output + "/model.safetensors");
  ASSERT_TRUE(file.ok());
  const TensorView* weight = file->Find("transformer.h.0.attn.c_attn.weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->shape, (std::vector<int64_t>{2, 6}));
  EXPECT_EQ(static_cast<const float*>(weight->data)[1], 2.0f);
  const TensorView* bias = file->Find("transformer.h.0.attn.c_attn.bias");
  ASSERT_NE(bias, nullptr) << "Hugging Face would start a missing bias afresh";
  EXPECT_EQ(bias->shape, std::vector<int64_t>{6});
  EXPECT_EQ(static_cast<const float*>(bias->data)[5], 0.0f);
  std::ifstream config(output + "/config.json");
  const std::string text((std::istreambuf_iterator<char>(config)), std::istreambuf_iterator<char>());
  EXPECT_THAT(text, HasSubstr("\"vocab_size\": 5"));
  EXPECT_EQ(ExportHuggingFace(model, output).code(), absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace lockstep
