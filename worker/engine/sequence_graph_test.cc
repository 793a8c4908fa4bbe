// Concatenation, transposition, reshape and the last step in small graphs, some of whose values have several
// consumers: gradients against finite differences, bits for any number of threads.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/test_support.h"
#include "worker/engine/add.h"
#include "worker/engine/concat.h"
#include "worker/engine/linear.h"
#include "worker/engine/reshape.h"
#include "worker/engine/team.h"

namespace lockstep::engine::sequence_graph_test {
namespace {

constexpr int kShards = 3, kRows = 2, kOutputs = 4;

// (3, 4) -> linear -> x; concat of x with itself and a transposition of x, reshaped, last step.
std::shared_ptr<const Model> Tangled() {
  GraphBuilder builder({3, 4});
  const int x = AppendLinear(builder, "stem", builder.input(), 6, kernels::Activation::kTanh);  // (3, 6)
  const int turned = AppendTranspose(builder, "turned", x, {1, 0});                             // (6, 3)
  const int shaped = AppendReshape(builder, "shaped", turned, {3, 6});
  const int wide = AppendConcat(builder, "wide", {x, shaped, x}, 1);     // (3, 18)
  const int tall = AppendConcat(builder, "tall", {wide, wide}, 0);       // (6, 18)
  const int last = AppendLast(builder, "last", tall);                    // (18)
  const int last_of_x = AppendLast(builder, "last_of_x", x);             // (6)
  const int both = AppendConcat(builder, "both", {last, last_of_x}, 0);  // (24)
  const int doubled = AppendAdd(builder, "doubled", both, AppendReshape(builder, "same", both, {24}));
  return std::move(builder).Build(
      AppendLinear(builder, "head", doubled, kOutputs, kernels::Activation::kIdentity),
      v1::LOSS_CROSS_ENTROPY);
}

std::vector<float> Gradient(const std::shared_ptr<const Model>& model, const std::vector<float>& weights,
                            Team* team) {
  ExecutorOptions options;
  options.logical_shards = kShards;
  options.shards = {0, kShards};
  options.rows_per_shard = kRows;
  options.team = team;
  const std::unique_ptr<Executor> executor = *MakeExecutor(model, v1::JobSpec(), options);
  const std::vector<float> x = kernels::Random(kShards * kRows * 12, -1, 1, 1);
  std::copy(x.begin(), x.end(), executor->features());
  for (int r = 0; r < kShards * kRows; ++r) executor->classes()[r] = r % kOutputs;
  executor->SetRows(1, 1);
  std::vector<float> sums(model->gradient_size());
  executor->Gradient(weights.data(), 1, kShards * kRows - 1, sums.data());
  return sums;
}

TEST(SequenceGraph, GradientDiffersFromFiniteDifferences) {
  const std::shared_ptr<const Model> model = Tangled();
  std::vector<float> weights(model->flat_size());
  model->Initialize(3, weights.data());
  const std::vector<float> gradient = Gradient(model, weights, nullptr);
  const auto loss = [&](const std::vector<float>& at) {
    return double{Gradient(model, at, nullptr)[model->flat_size() + kLossSum]} / (kShards * kRows - 1);
  };
  for (const Parameter& parameter : model->parameters()) {
    for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; ++i) {
      std::vector<float> near = weights;
      near[i] = weights[i] + 1e-2f;
      const double above = loss(near);
      near[i] = weights[i] - 1e-2f;
      const double below = loss(near);
      EXPECT_NEAR(gradient[i], (above - below) / 2e-2, 3e-4)
          << parameter.name << " at " << i - parameter.offset;
    }
  }
}

TEST(SequenceGraph, BitsDependOnTheThreads) {
  const std::shared_ptr<const Model> model = Tangled();
  std::vector<float> weights(model->flat_size());
  model->Initialize(3, weights.data());
  const std::vector<float> alone = Gradient(model, weights, nullptr);
  Team team(2);
  EXPECT_EQ(Gradient(model, weights, &team), alone);
}

TEST(SequenceGraph, ShapesAreWrong) {
  const std::vector<LayerSummary> layers = Tangled()->Layers();
  const std::vector<std::vector<int64_t>> shapes = {{3, 6}, {6, 3}, {3, 6}, {3, 18}, {6, 18}, {18},
                                                    {6},    {24},   {24},   {24},    {4}};
  ASSERT_EQ(layers.size(), shapes.size());
  for (size_t i = 0; i < shapes.size(); ++i) EXPECT_EQ(layers[i].output_shape, shapes[i]) << layers[i].name;
}

}  // namespace
}  // namespace lockstep::engine::sequence_graph_test
