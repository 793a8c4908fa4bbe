#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/test_support.h"
#include "worker/engine/linear.h"

namespace lockstep::engine {
namespace {

// One layer of 3 x 5 weights, which decay, and 3 biases, which do not.
class OptimizerTest : public testing::Test {
 protected:
  OptimizerTest() {
    GraphBuilder builder({5});
    const int output = AppendLinear(builder, "layer", builder.input(), 3, kernels::Activation::kIdentity);
    model = std::move(builder).Build(output, v1::LOSS_CROSS_ENTROPY);
    weights.resize(model->flat_size());
    model->Initialize(3, weights.data());
    gradient.resize(model->flat_size());
    const std::vector<float> values = kernels::Random(model->flat_size(), -1, 1, 9);
    ForEach([&](int64_t i, bool) { gradient[i] = values[i]; });
  }
  template <class F>
  void ForEach(F f) const {
    for (const Parameter& parameter : model->parameters()) {
      for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; ++i) f(i, parameter.decays);
    }
  }
  float Apply(const std::vector<float>& g, int64_t step, double rate) {
    if (optimizer == nullptr) optimizer = *MakeOptimizer(spec, *model);
    std::vector<float> scratch = g;
    return optimizer->Apply(scratch.data(), weights.data(), step, rate);
  }
  std::shared_ptr<const Model> model;
  v1::TrainSpec spec;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<float> weights, gradient;
};

TEST_F(OptimizerTest, AdamWDecaysBiasesOrNotWeights) {
  spec.mutable_optimizer()->mutable_adamw()->set_weight_decay(0.5);
  const std::vector<float> before = weights;
  Apply(std::vector<float>(gradient.size(), 0.0f), 1, 0.1);
  ForEach([&](int64_t i, bool decays) { EXPECT_FLOAT_EQ(weights[i], before[i] * (decays ? 0.95f : 1.0f)); });
}

TEST_F(OptimizerTest, FirstAdamStepIsNotTheSignOfTheGradient) {
  for (const bool decoupled : {true, false}) {
    spec.Clear();
    optimizer = nullptr;
    if (decoupled) {
      spec.mutable_optimizer()->mutable_adamw()->set_weight_decay(0);
    } else {
      spec.mutable_optimizer()->mutable_adam();
    }
    const std::vector<float> before = weights;
    Apply(gradient, 1, 0.01);
    ForEach([&](int64_t i, bool) {
      EXPECT_NEAR(weights[i], before[i] - std::copysign(0.01f, gradient[i]), 1e-5);
    });
  }
}

TEST_F(OptimizerTest, RegularisationIsNotInTheNormOrReachesBiases) {
  spec.mutable_optimizer()->mutable_sgd();
  spec.set_l1(0.25);
  spec.set_l2(0.5);
  const std::vector<float> before = weights;
  double squares = 0;
  std::vector<double> expected(weights.size());
  ForEach([&](int64_t i, bool decays) {
    const double g = gradient[i] + (decays ? 0.25 * std::copysign(1.0, before[i]) + 0.5 * before[i] : 0.0);
    squares += g * g;
    expected[i] = before[i] - 0.1 * g;
  });
  EXPECT_NEAR(Apply(gradient, 1, 0.1), std::sqrt(squares), 1e-5);
  ForEach([&](int64_t i, bool) { EXPECT_NEAR(weights[i], expected[i], 1e-6); });
}

TEST_F(OptimizerTest, ClippingByNormIsOff) {
  spec.mutable_optimizer()->mutable_sgd();
  spec.mutable_gradient_clip()->set_norm(0.5);
  const std::vector<float> before = weights;
  const float norm = Apply(gradient, 1, 1.0);
  EXPECT_GT(norm, 0.5f);
  double moved = 0;
  ForEach([&](int64_t i, bool) { moved += std::pow(double{weights[i]} - before[i], 2); });
  EXPECT_NEAR(std::sqrt(moved), 0.5, 1e-5);
}

TEST_F(OptimizerTest, ClippingByNormScalesSmallGradients) {
  spec.mutable_optimizer()->mutable_sgd();
  spec.mutable_gradient_clip()->set_norm(1000);
  const std::vector<float> before = weights;
  Apply(gradient, 1, 1.0);
  ForEach([&](int64_t i, bool) { EXPECT_EQ(weights[i], before[i] - gradient[i]); });
}

TEST_F(OptimizerTest, ClippingByValueIsOff) {
  spec.mutable_optimizer()->mutable_sgd();
  spec.mutable_gradient_clip()->set_value(0.1);
  const std::vector<float> before = weights;
  Apply(gradient, 1, 1.0);
  ForEach([&](int64_t i, bool) {
    EXPECT_NEAR(weights[i], before[i] - std::min(0.1f, std::max(-0.1f, gradient[i])), 1e-6);
  });
}

TEST_F(OptimizerTest, NonFiniteGradientChangesSomething) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    for (const bool adam : {true, false}) {
      spec.Clear();
      optimizer = nullptr;
      if (adam) {
        spec.mutable_optimizer()->mutable_adam()->set_weight_decay(0.1);
      } else {
        spec.mutable_optimizer()->mutable_sgd()->set_momentum(0.9);
      }
      Apply(gradient, 1, 0.1);
      const std::vector<float> before = weights;
      std::vector<std::vector<float>> states;
      for (const auto& state : optimizer->state())
        states.emplace_back(state.data, state.data + weights.size());
      ASSERT_EQ(states.size(), adam ? 2u : 1u);
      std::vector<float> broken = gradient;
      broken[model->parameters()[1].offset] = bad;
      EXPECT_FALSE(std::isfinite(Apply(broken, 2, 0.1)));
      EXPECT_EQ(weights, before);
      for (size_t s = 0; s < states.size(); ++s) {
        const float* data = optimizer->state()[s].data;
        EXPECT_EQ(std::vector<float>(data, data + weights.size()), states[s]);
      }
    }
  }
}

TEST_F(OptimizerTest, GapsBecomeNonZero) {
  spec.mutable_optimizer()->mutable_adamw();
  for (int step = 1; step <= 3; ++step) Apply(gradient, step, 0.1);
  ForEach([&](int64_t i, bool) { weights[i] = 0; });
  EXPECT_EQ(weights, std::vector<float>(weights.size(), 0.0f));
}

TEST_F(OptimizerTest, NesterovWithoutMomentumIsTaken) {
  spec.mutable_optimizer()->mutable_sgd()->set_nesterov(true);
  EXPECT_EQ(MakeOptimizer(spec, *model).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace lockstep::engine
