// Groups, freezing, statistics, and the team.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/test_support.h"
#include "worker/engine/graph.h"
#include "worker/engine/team.h"

namespace lockstep::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class GroupsTest : public testing::Test {
 protected:
  GroupsTest() {
    GraphBuilder builder({1});
    builder.AddParameter("h.0.weight", {3, 5}, true, {});
    builder.AddParameter("h.0.bias", {3}, false, {});
    builder.AddStatistic("h.0.mean", {3}, 0.25, 2);
    builder.AddParameter("h.1.weight", {3, 3}, true, {});
    model = std::move(builder).Build(builder.input(), v1::LOSS_CROSS_ENTROPY);
    start.resize(model->flat_size());
    gradient.resize(model->flat_size());
    for (const Parameter& parameter : model->parameters()) {
      for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; ++i) {
        start[i] = 1.0f + static_cast<float>(i) / 64;
        gradient[i] = 0.5f;
      }
    }
    weights = start;
  }

  v1::ParameterGroup& Group(const std::string& pattern) {
    v1::ParameterGroup& group = *spec.add_groups();
    group.set_pattern(pattern);
    return group;
  }
  absl::Status Step(double rate) {
    auto made = MakeOptimizer(spec, *model);
    if (!made.ok()) return made.status();
    optimizer = *std::move(made);
    std::vector<float> scratch = gradient;
    norm = optimizer->Apply(scratch.data(), weights.data(), 1, rate);
    return absl::OkStatus();
  }
  // How far the first element of a parameter moved.
  float Moved(const std::string& name) const {
    for (const Parameter& parameter : model->parameters()) {
      if (parameter.name == name) return weights[parameter.offset] - start[parameter.offset];
    }
    ADD_FAILURE() << name;
    return 0;
  }
  float First(const std::string& name) const {
    for (const Parameter& parameter : model->parameters()) {
      if (parameter.name == name) return start[parameter.offset];
    }
    return 0;
  }

  std::shared_ptr<const Model> model;
  v1::TrainSpec spec;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<float> start, weights, gradient;
  float norm = 0;
};

TEST_F(GroupsTest, FirstMatchingGroupDoesNotDecide) {
  spec.mutable_optimizer()->mutable_sgd();
  Group("*.bias").set_learning_rate_factor(3);
  Group("h.0.*").set_learning_rate_factor(0.5);
  ASSERT_TRUE(Step(0.25).ok());
  EXPECT_FLOAT_EQ(Moved("h.0.bias"), -0.375f);
  EXPECT_FLOAT_EQ(Moved("h.0.weight"), -0.0625f);
  EXPECT_FLOAT_EQ(Moved("h.1.weight"), -0.125f);
}

TEST_F(GroupsTest, DecayOfAGroupIsTheOptimizersOrMissesBiases) {
  spec.mutable_optimizer()->mutable_sgd()->set_weight_decay(0.5);
  Group("h.0.*").set_weight_decay(2);
  gradient.assign(gradient.size(), 0.0f);
  ASSERT_TRUE(Step(0.25).ok());
  EXPECT_FLOAT_EQ(Moved("h.0.bias"), -0.5f * First("h.0.bias"));
  EXPECT_FLOAT_EQ(Moved("h.0.weight"), -0.5f * First("h.0.weight"));
  EXPECT_FLOAT_EQ(Moved("h.1.weight"), -0.125f * First("h.1.weight"));
}

TEST_F(GroupsTest, FrozenParameterMovesOrCountsInTheNormOrHasState) {
  spec.mutable_optimizer()->mutable_adamw()->set_weight_decay(0.5);
  spec.set_l2(1);
  spec.add_freeze("h.0.*");
  ASSERT_TRUE(Step(0.25).ok());
  EXPECT_EQ(Moved("h.0.weight"), 0);
  EXPECT_EQ(Moved("h.0.bias"), 0);
  EXPECT_EQ(Moved("h.0.mean"), 0);
  EXPECT_NE(Moved("h.1.weight"), 0);
  double squares = 0;
  const Parameter& trained = model->parameters()[3];
  for (int64_t i = 0; i < trained.size; ++i) squares += std::pow(0.5 + start[trained.offset + i], 2);
  EXPECT_NEAR(norm, std::sqrt(squares), 1e-5);
  for (const Optimizer::State& state : optimizer->state()) EXPECT_THAT(state.parameters, ElementsAre(3));
}

TEST_F(GroupsTest, StatisticDoesNotFollowItsMomentum) {
  spec.mutable_optimizer()->mutable_sgd();
  spec.mutable_gradient_clip()->set_norm(1e-3);
  Group("*").set_learning_rate_factor(7);
  ASSERT_TRUE(Step(0.25).ok());
  EXPECT_FLOAT_EQ(Moved("h.0.mean"), 0.25f * (0.5f - First("h.0.mean")));
  EXPECT_NEAR(norm, 0.5 * std::sqrt(27), 1e-5) << "the statistic is no gradient";
}

TEST_F(GroupsTest, NonFiniteStatisticIsTaken) {
  spec.mutable_optimizer()->mutable_sgd();
  gradient[model->parameters()[2].offset] = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(Step(0.25).ok());
  EXPECT_FALSE(std::isfinite(norm));
  EXPECT_EQ(weights, start);
}

TEST_F(GroupsTest, PatternThatMatchesNothingIsTakenOrNotNamed) {
  spec.add_freeze("h.2.*");
  const absl::Status freeze = Step(0.1);
  EXPECT_EQ(freeze.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(freeze.message()),
              HasSubstr("train.freeze[0]: no parameter's name matches 'h.2.*'"));
  EXPECT_THAT(std::string(freeze.message()), HasSubstr("h.0.weight, h.0.bias, h.0.mean, h.1.weight"));
  spec.Clear();
  Group("*");
  Group("h.0.wieght");
  const absl::Status group = Step(0.1);
  EXPECT_THAT(std::string(group.message()), HasSubstr("train.groups[1].pattern"));
  EXPECT_THAT(std::string(group.message()), HasSubstr("did you mean 'h.0.weight'?"));
}

TEST_F(GroupsTest, FreezingEverythingIsTaken) {
  spec.add_freeze("h.*");
  EXPECT_THAT(std::string(Step(0.1).message()), HasSubstr("leave at least one to be trained"));
}

TEST_F(GroupsTest, MuonWithoutHiddenMatricesIsTaken) {
  spec.mutable_optimizer()->mutable_muon();
  spec.add_freeze("*.weight");
  EXPECT_THAT(std::string(Step(0.1).message()), HasSubstr("no hidden matrix"));
}

TEST_F(GroupsTest, MuonLeavesOthersToAdamW) {
  v1::MuonSpec& muon = *spec.mutable_optimizer()->mutable_muon();
  muon.set_learning_rate(0.02);
  muon.mutable_adamw()->set_learning_rate(0.01);
  Group("h.1.*").set_learning_rate_factor(2);
  ASSERT_TRUE(Step(0.04).ok());  // as if the schedule's factor were 2
  EXPECT_NEAR(Moved("h.0.bias"), -0.02f, 1e-6);
  EXPECT_THAT(optimizer->state()[0].parameters, ElementsAre(0, 3));
  EXPECT_THAT(optimizer->state()[1].parameters, ElementsAre(1));
  // All gradients equal: the matrix has rank 1, and its orthogonal form the entries s / 3, s near 1.
  const float direction =
      (First("h.1.weight") * (1 - 0.08f * 0.1f) - First("h.1.weight") - Moved("h.1.weight")) / 0.08f;
  EXPECT_NEAR(direction, 1 / 3.0, 0.12);
}

// Many pieces, not of one size.
TEST(Optimizers, BitsDependOnTheThreads) {
  GraphBuilder builder({1});
  builder.AddParameter("a.weight", {300, 301}, true, {});
  builder.AddParameter("a.bias", {300}, false, {});
  builder.AddStatistic("a.mean", {70000}, 0.1, 0);
  builder.AddParameter("b.weight", {40, 500}, true, {});
  const auto model = std::move(builder).Build(builder.input(), v1::LOSS_CROSS_ENTROPY);
  const std::vector<float> start = kernels::Random(model->flat_size(), -1, 1, 1);
  for (const char* kind : {"sgd", "adamw", "adagrad", "rmsprop", "lion", "muon"}) {
    v1::TrainSpec spec;
    spec.set_l2(0.01);
    spec.mutable_gradient_clip()->set_norm(1);
    const auto* field = v1::OptimizerSpec::descriptor()->FindFieldByName(kind);
    spec.optimizer().GetReflection()->MutableMessage(spec.mutable_optimizer(), field);
    std::vector<float> expected;
    float expected_norm = 0;
    for (int threads = 1; threads <= 3; ++threads) {
      Team team(threads);
      const auto optimizer = *MakeOptimizer(spec, *model, &team);
      std::vector<float> weights = start, average = start;
      float norm = 0;
      for (int step = 1; step <= 2; ++step) {
        std::vector<float> gradient = kernels::Random(model->flat_size(), -1, 1, 10 + step);
        norm = optimizer->Apply(gradient.data(), weights.data(), step, 0.01);
        AverageWeights(0.9, model->flat_size(), weights.data(), average.data(), &team);
      }
      weights.insert(weights.end(), average.begin(), average.end());
      if (threads == 1) {
        expected = weights;
        expected_norm = norm;
      }
      EXPECT_EQ(weights, expected) << kind << " " << threads;
      EXPECT_EQ(norm, expected_norm) << kind << " " << threads;
    }
    EXPECT_NE(expected, start) << kind;
  }
}

}  // namespace
}  // namespace lockstep::engine
