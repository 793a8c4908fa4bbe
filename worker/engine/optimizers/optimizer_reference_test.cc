// Three steps of each optimizer from the same weights with the same gradients as PyTorch's in float64
// (torch 2.15.0; Muon with its bfloat16 replaced by float64). Weight i starts at sin(i + 1); its gradient in
// step t is cos(0.7 i + t). Lion, which PyTorch lacks, has its float64 reference in kernels/update_test.cc.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernels/gemm.h"
#include "kernels/test_support.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {
namespace {

struct Case {
  std::string name;
  std::vector<int64_t> shape;
  std::function<void(v1::OptimizerSpec*)> set;
  std::vector<float> expected;
};

std::vector<Case> Cases() {
  return {
      {"sgd",
       {2, 3},
       [](v1::OptimizerSpec* o) {
         o->mutable_sgd()->set_momentum(0.9);
         o->mutable_sgd()->set_nesterov(true);
         o->mutable_sgd()->set_weight_decay(0.01);
       },
       {0.95017989f, 1.35198434f, 0.712863473f, -0.324393151f, -0.871948769f, -0.582239952f}},
      {"adam",
       {2, 3},
       [](v1::OptimizerSpec* o) { o->mutable_adam()->set_weight_decay(0.01); },
       {0.780562637f, 1.18222882f, 0.431291114f, -0.510947098f, -0.81565574f, -0.306407806f}},
      {"adamw",
       {2, 3},
       [](v1::OptimizerSpec* o) { o->mutable_adamw()->set_weight_decay(0.1); },
       {0.760157177f, 1.15314062f, 0.424198251f, -0.492074961f, -0.791974388f, -0.300121791f}},
      {"adagrad",
       {2, 3},
       [](v1::OptimizerSpec* o) { o->mutable_adagrad()->set_weight_decay(0.01); },
       {0.88325565f, 1.17643447f, 0.344931884f, -0.637261664f, -0.942420798f, -0.354823228f}},
      {"rmsprop",
       {2, 3},
       [](v1::OptimizerSpec* o) {
         o->mutable_rmsprop()->set_momentum(0.9);
         o->mutable_rmsprop()->set_weight_decay(0.01);
       },
       {0.109958637f, 6.17606049f, 4.58595862f, 2.57095979f, 0.796420765f, -0.188661f}},
      {"muon, wide",
       {2, 3},
       [](v1::OptimizerSpec* o) { o->mutable_muon(); },
       {0.844485721f, 1.00511732f, 0.296807787f, -0.527789749f, -0.858606514f, -0.367763979f}},
      {"muon, tall",
       {3, 2},
       [](v1::OptimizerSpec* o) { o->mutable_muon(); },
       {0.736729139f, 1.08100066f, 0.353621127f, -0.661201426f, -0.77703273f, -0.44496975f}},
  };
}

TEST(MakeOptimizer, WeightsAreNotPyTorchsAfterThreeSteps) {
  for (const Case& c : Cases()) {
    GraphBuilder builder({1});
    builder.AddParameter("weight", c.shape, true, {});
    const auto model = std::move(builder).Build(builder.input(), v1::LOSS_CROSS_ENTROPY);
    v1::TrainSpec spec;
    c.set(spec.mutable_optimizer());
    const auto optimizer = MakeOptimizer(spec, *model);
    ASSERT_TRUE(optimizer.ok()) << optimizer.status();
    std::vector<float> weights(model->flat_size()), gradient(model->flat_size());
    for (int i = 0; i < 6; ++i) weights[i] = static_cast<float>(std::sin(i + 1));
    for (int t = 1; t <= 3; ++t) {
      for (int i = 0; i < 6; ++i) gradient[i] = static_cast<float>(std::cos(0.7 * i + t));
      (*optimizer)->Apply(gradient.data(), weights.data(), t, 0.1);
    }
    for (int i = 0; i < 6; ++i)
      EXPECT_NEAR(weights[i], c.expected[i], 2e-6 * (1 + std::abs(weights[i]))) << c.name;
  }
}

TEST(MakeOptimizer, RoundedWeightsAreNotTheWeights) {
  if (!kernels::cpu::HasBf16()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  for (const Case& c : Cases()) {
    GraphBuilder builder({1});
    builder.AddParameter("weight", c.shape, true, {});
    builder.AddParameter("frozen", {40}, true, {});
    builder.AddParameter("other", {40}, false, {});
    const auto model = std::move(builder).Build(builder.input(), v1::LOSS_CROSS_ENTROPY);
    v1::TrainSpec spec;
    c.set(spec.mutable_optimizer());
    spec.add_freeze("frozen");
    const auto optimizer = MakeOptimizer(spec, *model);
    ASSERT_TRUE(optimizer.ok()) << optimizer.status();
    const int64_t size = model->flat_size();
    std::vector<float> weights = kernels::Random(size, -1, 1, 1), gradient = kernels::Random(size, -1, 1, 2);
    const std::vector<float> before = weights;
    std::vector<uint16_t> rounded(size), anew(size), nearest(size);
    for (const bool stochastic : {false, true}) {
      (*optimizer)->KeepRounded(rounded.data(), {stochastic, 5, 0});
      (*optimizer)->Round(weights.data(), 7);
      std::vector<float> g = gradient;
      (*optimizer)->Apply(g.data(), weights.data(), 8, 0.1);
      EXPECT_NE(weights, before) << c.name;
      (*optimizer)->KeepRounded(anew.data(), {stochastic, 5, 0});
      (*optimizer)->Round(weights.data(), 8);
      EXPECT_EQ(rounded, anew) << c.name;
      kernels::cpu::RoundToBf16(size, weights.data(), nearest.data(), false);
      EXPECT_EQ(anew == nearest, !stochastic) << c.name;
      const Parameter& frozen = model->parameters()[1];
      EXPECT_TRUE(std::equal(anew.begin() + frozen.offset, anew.begin() + frozen.offset + frozen.size,
                             nearest.begin() + frozen.offset));
      (*optimizer)->KeepRounded(anew.data(), {stochastic, 6, 0});
      (*optimizer)->Round(weights.data(), 8);
      EXPECT_EQ(rounded == anew, !stochastic) << c.name << ": of another seed";
    }
  }
}

}  // namespace
}  // namespace lockstep::engine
