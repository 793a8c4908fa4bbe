// Graphs whose values have several consumers: gradients against finite differences, and bits for any division
// of the work.
#include "worker/engine/graph.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/test_support.h"
#include "worker/engine/add.h"
#include "worker/engine/linear.h"
#include "worker/engine/team.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;
using kernels::Random;

constexpr int kShards = 4, kRows = 3, kFeatures = 6, kOutputs = 5;

// Two residual blocks; the first value is read by a branch, by the sum and, once more, by the last layer's
// sum. The branch ends in a layer that overwrites its gradient, or in one that does not.
std::shared_ptr<const Model> Residual(Activation last_of_branch) {
  GraphBuilder builder({kFeatures});
  const int x0 = AppendLinear(builder, "stem", builder.input(), 8, Activation::kTanh);
  int x = x0;
  for (int block = 0; block < 2; ++block) {
    const std::string name = "block." + std::to_string(block);
    const int hidden = AppendLinear(builder, name + ".up", x, 16, Activation::kGelu);
    const int out = AppendLinear(builder, name + ".down", hidden, 8, last_of_branch);
    x = AppendAdd(builder, name + ".add", x, out);
  }
  x = AppendAdd(builder, "skip", x, x0);
  const int twice = AppendAdd(builder, "twice", x, x);
  return std::move(builder).Build(AppendLinear(builder, "head", twice, kOutputs, Activation::kIdentity),
                                  v1::LOSS_CROSS_ENTROPY);
}

std::vector<float> Gradient(const std::shared_ptr<const Model>& model, const std::vector<float>& weights,
                            Team* team, int passes = 1) {
  ExecutorOptions options;
  options.passes = passes;
  options.logical_shards = kShards;
  options.shards = {0, kShards};
  options.rows_per_shard = kRows;
  options.team = team;
  const std::unique_ptr<Executor> executor = *MakeExecutor(model, v1::JobSpec(), options);
  EXPECT_EQ(*ExecutorBytes(*model, options), executor->bytes()) << "told beforehand and taken";
  const std::vector<float> x = Random(kShards * kRows * kFeatures, -1, 1, 1);
  std::copy(x.begin(), x.end(), executor->features());
  for (int r = 0; r < kShards * kRows; ++r) executor->classes()[r] = r % kOutputs;
  executor->SetRows(2, 1);
  std::vector<float> sums(model->gradient_size());
  executor->Gradient(weights.data(), 1, kShards * kRows - 2, sums.data());
  return sums;
}

class GraphTest : public testing::TestWithParam<Activation> {};
INSTANTIATE_TEST_SUITE_P(LastOfBranch, GraphTest,
                         testing::Values(Activation::kIdentity, Activation::kTanh, Activation::kGelu));

TEST_P(GraphTest, SharedGradientDiffersFromFiniteDifferences) {
  const std::shared_ptr<const Model> model = Residual(GetParam());
  std::vector<float> weights(model->flat_size());
  model->Initialize(3, weights.data());
  const std::vector<float> gradient = Gradient(model, weights, nullptr);
  const auto loss = [&](const std::vector<float>& at) {
    return double{Gradient(model, at, nullptr)[model->flat_size() + kLossSum]} / (kShards * kRows - 2);
  };
  for (const Parameter& parameter : model->parameters()) {
    for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; i += 3) {
      std::vector<float> near = weights;
      near[i] = weights[i] + 1e-2f;
      const double above = loss(near);
      near[i] = weights[i] - 1e-2f;
      const double below = loss(near);
      EXPECT_NEAR(gradient[i], (above - below) / 2e-2, 1e-3 + 0.02 * std::abs(gradient[i]))
          << parameter.name << " at " << i - parameter.offset;
    }
  }
}

TEST_P(GraphTest, BitsDependOnTheThreads) {
  const std::shared_ptr<const Model> model = Residual(GetParam());
  std::vector<float> weights(model->flat_size());
  model->Initialize(3, weights.data());
  const std::vector<float> alone = Gradient(model, weights, nullptr);
  for (const int threads : {2, 3}) {
    Team team(threads);
    EXPECT_EQ(Gradient(model, weights, &team), alone) << threads << " threads";
  }
}

TEST_P(GraphTest, BitsDependOnThePasses) {
  const std::shared_ptr<const Model> model = Residual(GetParam());
  std::vector<float> weights(model->flat_size());
  model->Initialize(3, weights.data());
  const std::vector<float> whole = Gradient(model, weights, nullptr);
  for (const int passes : {2, 3, 4}) {
    EXPECT_EQ(Gradient(model, weights, nullptr, passes), whole) << passes << " passes";
  }
}

TEST(Graph, TableLeavesALayerOut) {
  const std::vector<LayerSummary> layers = Residual(Activation::kIdentity)->Layers();
  ASSERT_EQ(layers.size(), 10u);
  EXPECT_EQ(layers[1].name, "block.0.up");
  EXPECT_EQ(layers[1].parameters, 8 * 16 + 16);
  EXPECT_EQ(layers[1].flops, 2.0 * 8 * 16);
  EXPECT_EQ(layers[1].output_shape, std::vector<int64_t>{16});
}

}  // namespace
}  // namespace lockstep::engine
