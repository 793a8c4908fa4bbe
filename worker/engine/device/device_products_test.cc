// Products by cuBLASLt's stand-in within whole models: that they are used, whose bits they have, and what a
// record is held to.
#include "worker/engine/device/device_products.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "common/spec/spec.h"
#include "kernels/cublas/stand_in/lt.h"
#include "worker/engine/device/device_rank_for_test.h"

namespace lockstep::engine::device_products_test {
namespace {

namespace stand_in = kernels::stand_in;

class DeviceProductsTest : public testing::Test {
 protected:
  void SetUp() override { stand_in::Behave() = {}; }
  void TearDown() override { stand_in::Behave() = {}; }

  static ExecutorOptions Options(Precision precision = Precision::kFp32) {
    ExecutorOptions options;
    options.precision = precision;
    options.products = stand_in::Lt();
    return options;
  }
  // Two layers with activations, so that both of a layer's products are there. Eight shards of five rows; the
  // last but one is short, the last one empty.
  const TestJob job_{TestJob::Options{"relu", 20, 10, {32, 17}, 0.1, 8, 5}};

  // What the first of one rank chooses when `fastest` is.
  ProductChoices Chosen(int fastest, const ExecutorOptions& options = Options()) const {
    return Chosen(job_, fastest, options);
  }
  static ProductChoices Chosen(const TestJob& job, int fastest, const ExecutorOptions& options) {
    stand_in::Behave().fastest = fastest;
    const auto rank = MakeDeviceRank(job, {0, job.shards}, options);
    ProductChoices choices;
    const absl::Status status = rank->executor().ChooseProducts(rank->weights(), &choices);
    EXPECT_TRUE(status.ok()) << status;
    return choices;
  }
  static bool Has(const ProductChoices& choices, int algorithm) {
    for (const auto& [shape, of] : choices.of) {
      if (!of.has_value() || of->data[1] != static_cast<uint64_t>(algorithm)) return false;
    }
    return !choices.of.empty();
  }

  // As the collective adds the ranks' node sums.
  std::vector<float> Gradient(int world, const ProductChoices& choices,
                              const ExecutorOptions& options = Options()) const {
    return Gradient(job_, world, choices, options);
  }
  static std::vector<float> Gradient(const TestJob& job, int world, const ProductChoices& choices,
                                     const ExecutorOptions& options) {
    std::vector<TreeNode> nodes;
    std::vector<std::vector<float>> sums;
    const int64_t size = job.model->gradient_size();
    for (int r = 0; r < world; ++r) {
      const ShardRange range = ShardsOfRank(job.shards, world, r);
      const std::vector<TreeNode> mine = MaximalNodes(job.shards, range);
      const auto rank = MakeDeviceRank(job, range, options);
      const absl::Status status = rank->executor().UseProducts(rank->weights(), choices);
      EXPECT_TRUE(status.ok()) << status;
      const std::vector<float> out = rank->Gradient(3, job.batch_rows());
      for (size_t n = 0; n < mine.size(); ++n) {
        nodes.push_back(mine[n]);
        sums.emplace_back(out.begin() + static_cast<int64_t>(n) * size,
                          out.begin() + static_cast<int64_t>(n + 1) * size);
      }
    }
    const TreeSchedule schedule = ScheduleFor(Root(job.shards), job.shards, nodes);
    for (const TreeAdd& add : schedule.adds) {
      for (int64_t i = 0; i < size; ++i) sums[add.target][i] += sums[add.source][i];
    }
    return sums[schedule.result];
  }
  std::vector<float> ByOwnKernels(Precision precision = Precision::kFp32) const {
    ExecutorOptions options;
    options.precision = precision;
    return Gradient(1, {}, options);
  }
};

TEST_F(DeviceProductsTest, ChosenAlgorithmIsNotUsedOrItsGradientIsWrong) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    const ExecutorOptions options = Options(precision);
    const std::vector<float> own = ByOwnKernels(precision);
    std::vector<std::vector<float>> seen = {own};
    for (const int algorithm : {stand_in::kBackwards, stand_in::kEvenFirst}) {
      const ProductChoices choices = Chosen(algorithm, options);
      EXPECT_EQ(choices.of.size(), 8u) << "three forwards, two of an input's gradient, three of a weight's";
      EXPECT_TRUE(Has(choices, algorithm)) << choices.ToText();
      const std::vector<float> gradient = Gradient(1, choices, options);
      // In bf16 an activation's last bit may round to another operand of the next product.
      kernels::ExpectClose(gradient, own, precision == Precision::kBf16 ? 2e-3 : 1e-5);
      for (const auto& other : seen) EXPECT_NE(gradient, other) << "algorithm " << algorithm;
      seen.push_back(gradient);
    }
  }
}

TEST_F(DeviceProductsTest, BitsDependOnTheRanks) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    const ExecutorOptions options = Options(precision);
    const ProductChoices choices = Chosen(stand_in::kEvenFirst, options);
    const std::vector<float> alone = Gradient(1, choices, options);
    for (const int world : {2, 3, 8}) {
      EXPECT_EQ(Gradient(world, choices, options), alone) << world << " ranks";
    }
  }
}

// Matrices with several rows for each sample, residuals that add to a gradient, and a table that is the
// output layer's weight as well, whose gradient stays our own kernel's.
TEST_F(DeviceProductsTest, LanguageModelsBitsDependOnTheRanks) {
  auto spec = ParseSpec(
      "dataset: { path: a.txt, text: { sequence_length: 4 } }\n"
      "model: { gpt: { layers: 1, heads: 2, width: 8, context: 5 } }",
      "job.yaml", "", {});
  ASSERT_TRUE(spec.ok()) << spec.status();
  ASSERT_TRUE(CompleteSpec(&*spec).ok());
  const TestJob job(spec->model(), 5, 11, 5, 2, v1::TASK_LANGUAGE_MODEL);
  const ProductChoices choices = Chosen(job, stand_in::kEvenFirst, Options());
  const std::vector<float> alone = Gradient(job, 1, choices, Options());
  ExecutorOptions own;
  const std::vector<float> by_own = Gradient(job, 1, {}, own);
  EXPECT_NE(alone, by_own);
  kernels::ExpectClose(alone, by_own, 1e-5);
  EXPECT_EQ(Gradient(job, 3, choices, Options()), alone);
}

// One whose bits depend on how many matrices are multiplied at once: a call for each shard has the bits of
// ranks with one shard.
TEST_F(DeviceProductsTest, BitsDependOnTheBatchOfAnAlgorithmThatHeedsIt) {
  const ProductChoices choices = Chosen(stand_in::kByBatch);
  ASSERT_TRUE(Has(choices, stand_in::kByBatch)) << choices.ToText();
  const std::vector<float> alone = Gradient(1, choices);
  EXPECT_EQ(alone, Gradient(1, Chosen(stand_in::kForwards)));
  for (const int world : {2, 8}) EXPECT_EQ(Gradient(world, choices), alone) << world << " ranks";
}

TEST_F(DeviceProductsTest, WhatGivesOtherBitsEachTimeIsTaken) {
  const ProductChoices choices = Chosen(stand_in::kUnsteady);
  EXPECT_GT(stand_in::Uses(stand_in::kUnsteady), 0) << "it was not tried";
  EXPECT_FALSE(choices.any()) << choices.ToText();
}

TEST_F(DeviceProductsTest, SplitSumIsTakenByAReproducibleJobOrByNone) {
  EXPECT_FALSE(Chosen(stand_in::kSplit).any());
  ExecutorOptions options = Options();
  options.reproducible = false;
  const ProductChoices choices = Chosen(stand_in::kSplit, options);
  EXPECT_TRUE(Has(choices, stand_in::kSplit)) << choices.ToText();
  // Even if somebody gives it the record under the names of its own shapes.
  ProductChoices renamed;
  renamed.device = choices.device;
  for (const auto& [shape, of] : choices.of) renamed.of[absl::StrReplaceAll(shape, {{"_anyorder", ""}})] = of;
  const auto rank = MakeDeviceRank(job_, {0, job_.shards}, Options());
  const absl::Status status = rank->executor().UseProducts(rank->weights(), renamed);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "reproducible: false")) << status;
}

TEST_F(DeviceProductsTest, OwnKernelIsNotTakenWhereItIsFaster) {
  const ProductChoices choices = Chosen(-1);
  EXPECT_EQ(choices.of.size(), 8u);
  EXPECT_FALSE(choices.any()) << choices.ToText();
  EXPECT_EQ(Gradient(1, choices), ByOwnKernels());
  stand_in::Behave().supports = false;
  EXPECT_FALSE(Chosen(stand_in::kForwards).any());
}

TEST_F(DeviceProductsTest, RecordIsTimedAgain) {
  const ProductChoices first = Chosen(stand_in::kBackwards);
  const std::vector<float> gradient = Gradient(1, first);
  stand_in::Behave().fastest = stand_in::kForwards;
  const auto rank = MakeDeviceRank(job_, {0, job_.shards}, Options());
  ProductChoices choices = *ProductChoices::Parse(first.ToText());
  ASSERT_TRUE(rank->executor().ChooseProducts(rank->weights(), &choices).ok());
  EXPECT_EQ(choices.ToText(), first.ToText());
  EXPECT_EQ(Gradient(1, choices), gradient);
}

TEST_F(DeviceProductsTest, PredictionsBitsDependOnTheChoice) {
  const std::vector<float> x = kernels::Random(int64_t{job_.rows()} * job_.features, -1, 1, 5);
  std::vector<std::vector<float>> outs;
  for (const bool by_library : {false, true}) {
    const auto rank = MakeDeviceRank(job_, {0, job_.shards}, by_library ? Options() : ExecutorOptions());
    if (by_library) {
      const ProductChoices choices = Chosen(stand_in::kBackwards);
      ASSERT_TRUE(rank->executor().UseProducts(rank->weights(), choices).ok());
    }
    std::vector<float>& out = outs.emplace_back(static_cast<size_t>(job_.rows() * job_.outputs));
    ASSERT_TRUE(rank->executor().Predict(rank->weights(), x.data(), job_.rows(), out.data()).ok());
  }
  EXPECT_EQ(outs[0], outs[1]);
}

TEST_F(DeviceProductsTest, RecordOfAnotherDeviceOrAnAlgorithmThatIsGoneIsPassedOver) {
  const ProductChoices choices = Chosen(stand_in::kBackwards);
  const auto rank = MakeDeviceRank(job_, {0, job_.shards}, Options());
  ProductChoices other = choices;
  other.device = "another device";
  absl::Status status = rank->executor().UseProducts(rank->weights(), other);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "another device; this rank is emulation")) << status;
  stand_in::Behave().refuses = stand_in::kBackwards;
  status = rank->executor().UseProducts(rank->weights(), choices);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "fp32_m10_n17_k5_aT")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "from: { job")) << status;
  // One without an algorithm of the library's asks nothing of anybody.
  EXPECT_TRUE(rank->executor().UseProducts(rank->weights(), {}).ok());
}

TEST_F(DeviceProductsTest, ProductThatFailsInAStepIsNoError) {
  const ProductChoices choices = Chosen(stand_in::kBackwards);
  const auto rank = MakeDeviceRank(job_, {0, job_.shards}, Options());
  ASSERT_TRUE(rank->executor().UseProducts(rank->weights(), choices).ok());
  stand_in::Behave().fails = true;
  const absl::Status status = rank->executor().Gradient(rank->weights(), 3, job_.batch_rows(), nullptr);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "layers.0: product of 5 x 32 x 20")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "cublasLtMatmul")) << status;
}

TEST_F(DeviceProductsTest, SmallProductsAreChosenFor) {
  kernels::LtLibrary library = *stand_in::Lt();
  library.least_work = 2.0 * 5 * 32 * 20;
  ExecutorOptions options = Options();
  options.products = &library;
  const ProductChoices choices = Chosen(stand_in::kForwards, options);
  EXPECT_EQ(choices.of.size(), 2u) << choices.ToText();  // the first layer's, and its weight's gradient
}

TEST(ProductChoicesTest, TextComesBackAsSomethingElse) {
  ProductChoices choices;
  choices.device = "a device, cuBLASLt 13.0.2";
  choices.of["fp32_m1_n2_k3"] = std::nullopt;
  choices.of["bf16_m1_n2_k3_bT"] = kernels::LtAlgorithm{{1, ~uint64_t{0}, 3, 4, 5, 6, 7, 8}};
  const auto again = ProductChoices::Parse(choices.ToText());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->device, choices.device);
  EXPECT_EQ(again->of, choices.of);
}

TEST(ProductChoicesTest, DamagedTextIsTaken) {
  ProductChoices choices;
  choices.device = "a device";
  choices.of["fp32_m1_n2_k3"] = kernels::LtAlgorithm{{1, 2, 3, 4, 5, 6, 7, 8}};
  const std::string text = choices.ToText();
  const size_t header = text.find('\n', text.find('\n') + 1) + 1;
  for (size_t length = 0; length < text.size(); ++length) {
    const auto cut = ProductChoices::Parse(text.substr(0, length));
    EXPECT_EQ(cut.ok(), length == header) << length;
    EXPECT_TRUE(cut.ok() || absl::IsDataLoss(cut.status())) << cut.status();
  }
  for (const char* wrong :
       {"lockstep products 2\nd\n", "lockstep products 1\nd\nfp32 g000\n", "\n\n\n",
        "lockstep products 1\nd\n own\n", "lockstep products 1\nd\nfp32 0123456789abcdef\n",
        "lockstep products 1\nd\nfp32_m1 maybe\n"}) {
    EXPECT_EQ(ProductChoices::Parse(wrong).status().code(), absl::StatusCode::kDataLoss) << wrong;
  }
}

}  // namespace
}  // namespace lockstep::engine::device_products_test
