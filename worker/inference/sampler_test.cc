#include "worker/inference/sampler.h"

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

// How often each token was drawn.
std::map<int32_t, int> Draw(const std::vector<float>& logits, const SamplingOptions& options, int times) {
  std::map<int32_t, int> drawn;
  for (int i = 0; i < times; ++i) ++drawn[SampleToken(logits, options, i).value()];
  return drawn;
}

TEST(Sampler, TemperatureZeroTakesTheLargestAndTheSmallerIdOfEquals) {
  EXPECT_EQ(SampleToken(std::vector<float>{1, 3, 2, 3}, {.temperature = 0}, 7).value(), 1);
}

TEST(Sampler, FrequenciesAreTheSoftmaxOfTheLogitsOverTheTemperature) {
  const std::vector<float> logits = {0, 1, 2};
  for (const double temperature : {1.0, 0.5}) {
    double total = 0;
    for (const float logit : logits) total += std::exp(logit / temperature);
    const std::map<int32_t, int> drawn = Draw(logits, {.temperature = temperature}, 20000);
    for (const auto& [id, count] : drawn) {
      EXPECT_NEAR(count / 20000.0, std::exp(logits[static_cast<size_t>(id)] / temperature) / total, 0.012)
          << id;
    }
  }
}

TEST(Sampler, TopKAndTopPLeaveOutTheUnlikely) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.2f), std::log(0.2f), std::log(0.1f)};
  const auto ids = [&](const SamplingOptions& options) {
    std::vector<int32_t> seen;
    for (const auto& [id, count] : Draw(logits, options, 500)) seen.push_back(id);
    return seen;
  };
  EXPECT_EQ(ids({}), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(ids({.top_k = 1}), (std::vector<int32_t>{0}));
  EXPECT_EQ(ids({.top_k = 2}), (std::vector<int32_t>{0, 1})) << "the smaller id of equals";
  EXPECT_EQ(ids({.top_p = 0.45}), (std::vector<int32_t>{0})) << "the one that reaches p is kept";
  EXPECT_EQ(ids({.top_p = 0.65}), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(ids({.top_k = 3, .top_p = 0.7}), (std::vector<int32_t>{0, 1})) << "of what top-k left";
}

TEST(Sampler, TheDrawIsAFunctionOfSeedAndPosition) {
  const std::vector<float> logits(100, 0.0f);
  std::vector<int32_t> first, again, other;
  for (int i = 0; i < 20; ++i) {
    first.push_back(SampleToken(logits, {.seed = 5}, i).value());
    again.push_back(SampleToken(logits, {.seed = 5}, i).value());
    other.push_back(SampleToken(logits, {.seed = 6}, i).value());
  }
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
  EXPECT_GT(Draw(logits, SamplingOptions(), 200).size(), 50u);
}

TEST(Sampler, ForbiddenTokensAreNeverDrawnAndDamageIsSeen) {
  const float never = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(Draw({never, 0, never}, {}, 50).size(), 1u);
  EXPECT_FALSE(SampleToken(std::vector<float>{never}, {}, 0).ok());
  const absl::Status status = SampleToken(std::vector<float>{0, NAN}, {.temperature = 0}, 0).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("token 1 is nan"));
}

TEST(Sampler, OptionsOutOfRangeAreRefused) {
  EXPECT_TRUE(CheckSampling({}).ok());
  EXPECT_FALSE(CheckSampling({.temperature = -1}).ok());
  EXPECT_FALSE(CheckSampling({.temperature = NAN}).ok());
  EXPECT_FALSE(CheckSampling({.top_k = -1}).ok());
  EXPECT_FALSE(CheckSampling({.top_p = 0}).ok());
  EXPECT_FALSE(CheckSampling({.top_p = 1.5}).ok());
}

}  // namespace
}  // namespace lockstep
