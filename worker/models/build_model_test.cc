#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "worker/engine/engine.h"

namespace lockstep::engine {
namespace {

using ::testing::HasSubstr;

v1::JobSpec Mlp(std::vector<int> hidden, double dropout = 0) {
  v1::JobSpec spec;
  for (int width : hidden) spec.mutable_model()->mutable_mlp()->add_hidden(width);
  spec.mutable_model()->mutable_mlp()->set_dropout(dropout);
  return spec;
}

void ExpectRefused(const v1::JobSpec& spec, v1::Task task, const std::string& words) {
  const auto model = BuildModel(spec, 4, 3, task);
  ASSERT_FALSE(model.ok()) << words;
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(model.status().message()), HasSubstr(words));
}

TEST(BuildModel, ModelThatDoesNotFitTheTaskIsTaken) {
  v1::JobSpec linear, softmax, none, loss = Mlp({4});
  linear.mutable_model()->mutable_linear();
  softmax.mutable_model()->mutable_softmax();
  loss.mutable_train()->set_loss(v1::LOSS_CROSS_ENTROPY);
  ExpectRefused(linear, v1::TASK_CLASSIFICATION, "model.softmax");
  ExpectRefused(softmax, v1::TASK_REGRESSION, "model.linear");
  ExpectRefused(none, v1::TASK_REGRESSION, "linear, softmax, svm, mlp");
  ExpectRefused(loss, v1::TASK_REGRESSION, "train.loss");
  ExpectRefused(Mlp({4, 0}), v1::TASK_REGRESSION, "model.mlp.hidden[1]");
  ExpectRefused(Mlp({}), v1::TASK_REGRESSION, "model.mlp.hidden");
  ExpectRefused(Mlp({4}, 1.0), v1::TASK_REGRESSION, "model.mlp.dropout");
  ExpectRefused(Mlp({4}), v1::TASK_UNSPECIFIED, "task");
}

TEST(BuildModel, SupportVectorMachineOfNumbersOrCrossEntropyIsTaken) {
  v1::JobSpec svm;
  svm.mutable_model()->mutable_svm();
  ExpectRefused(svm, v1::TASK_REGRESSION, "model.svm");
  EXPECT_EQ((*BuildModel(svm, 4, 3, v1::TASK_CLASSIFICATION))->loss(), v1::LOSS_HINGE);
  svm.mutable_train()->set_loss(v1::LOSS_CROSS_ENTROPY);
  ExpectRefused(svm, v1::TASK_CLASSIFICATION, "model: softmax");
}

TEST(BuildModel, AutoencoderDoesNotMirrorItsEncoder) {
  v1::JobSpec spec;
  for (const int width : {8, 5, 2}) spec.mutable_model()->mutable_autoencoder()->add_hidden(width);
  const auto model = *BuildModel(spec, 11, 11, v1::TASK_RECONSTRUCTION);
  std::vector<std::vector<int64_t>> shapes;
  std::vector<std::string> names;
  for (const Parameter& parameter : model->parameters()) {
    if (parameter.shape.size() < 2) continue;
    names.push_back(parameter.name);
    shapes.push_back(parameter.shape);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"encoder.0.weight", "encoder.1.weight", "encoder.2.weight",
                                             "decoder.0.weight", "decoder.1.weight", "decoder.2.weight"}));
  EXPECT_EQ(shapes, (std::vector<std::vector<int64_t>>{{8, 11}, {5, 8}, {2, 5}, {5, 2}, {8, 5}, {11, 8}}));
  EXPECT_EQ(model->loss(), v1::LOSS_MEAN_SQUARED_ERROR);
  ExpectRefused(spec, v1::TASK_CLASSIFICATION, "model.autoencoder");
  ExpectRefused(Mlp({4}), v1::TASK_RECONSTRUCTION, "expected autoencoder");
}

TEST(BuildModel, OutputLayerOrBiasCountsAsAHiddenMatrix) {
  const auto model = *BuildModel(Mlp({7, 5}), 4, 3, v1::TASK_CLASSIFICATION);
  for (const Parameter& parameter : model->parameters()) {
    EXPECT_EQ(parameter.hidden_matrix,
              parameter.name == "layers.0.weight" || parameter.name == "layers.1.weight")
        << parameter.name;
  }
}

TEST(BuildModel, ParametersAreNotInBackwardOrderOrNotAligned) {
  const auto model = *BuildModel(Mlp({7, 5}, 0.5), 4, 3, v1::TASK_CLASSIFICATION);
  EXPECT_EQ(model->features(), 4);
  EXPECT_EQ(model->outputs(), 3);
  EXPECT_EQ(model->parameter_count(), 4 * 7 + 7 + 7 * 5 + 5 + 5 * 3 + 3);
  int64_t previous = model->flat_size();
  for (const Parameter& parameter : model->parameters()) {  // forward order: offsets fall
    EXPECT_EQ(parameter.offset % 16, 0);
    EXPECT_LE(parameter.offset + parameter.size, previous) << parameter.name;
    EXPECT_EQ(parameter.decays, parameter.shape.size() == 2) << parameter.name;
    previous = parameter.offset;
  }
  EXPECT_EQ(model->parameters()[0].name, "layers.0.weight");
  EXPECT_EQ(model->parameters()[0].shape, (std::vector<int64_t>{7, 4}));
}

TEST(BuildModel, InitialWeightsAreNotUniformWithinFanIn) {
  const auto model = *BuildModel(Mlp({200}), 100, 3, v1::TASK_CLASSIFICATION);
  std::vector<float> a(model->flat_size(), 5.0f), b(model->flat_size()), c(model->flat_size());
  model->Initialize(1, a.data());
  model->Initialize(1, b.data());
  model->Initialize(2, c.data());
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  const Parameter& weight = model->parameters()[0];
  double sum = 0, squares = 0, largest = 0;
  for (int64_t i = weight.offset; i < weight.offset + weight.size; ++i) {
    sum += a[i];
    squares += double{a[i]} * a[i];
    largest = std::max<double>(largest, std::abs(a[i]));
  }
  EXPECT_LE(largest, 0.1);
  EXPECT_GT(largest, 0.099);
  EXPECT_NEAR(sum / weight.size, 0, 0.002);
  EXPECT_NEAR(std::sqrt(squares / weight.size), 0.1 / std::sqrt(3.0), 0.001);
}

TEST(MakeExecutor, ImpossibleShardsAreTaken) {
  const v1::JobSpec spec = Mlp({4});
  const auto model = *BuildModel(spec, 4, 3, v1::TASK_CLASSIFICATION);
  ExecutorOptions options;
  options.shards = {4, 4};
  EXPECT_EQ(MakeExecutor(model, spec, options).status().code(), absl::StatusCode::kInvalidArgument);
  options.shards = {4, 9};
  EXPECT_EQ(MakeExecutor(model, spec, options).status().code(), absl::StatusCode::kInvalidArgument);
  options.shards = {0, 1};
  options.rows_per_shard = 0;
  EXPECT_EQ(MakeExecutor(model, spec, options).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace lockstep::engine
