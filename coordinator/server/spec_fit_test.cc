#include "coordinator/server/spec_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

using ::testing::HasSubstr;

v1::Dataset Digits() {
  v1::Dataset dataset;
  dataset.set_name("digits");
  dataset.set_label("digit");
  dataset.set_task(v1::TASK_CLASSIFICATION);
  for (int i = 0; i < 10; ++i) dataset.add_classes(std::to_string(i));
  return dataset;
}

v1::Dataset Diabetes() {
  v1::Dataset dataset;
  dataset.set_name("diabetes");
  dataset.set_task(v1::TASK_REGRESSION);
  return dataset;
}

v1::JobSpec Mlp() {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_mlp()->add_hidden(8);
  spec.mutable_train();
  return spec;
}

void ExpectRefused(const v1::Dataset& dataset, v1::JobSpec spec, const std::string& field,
                   const std::string& advice) {
  const absl::Status status = FitSpecToDataset(dataset, &spec);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), testing::StartsWith(field + ": "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(advice));
}

TEST(FitSpecToDataset, LossAndTaskComeFromTheDataset) {
  v1::JobSpec spec = Mlp();
  ASSERT_TRUE(FitSpecToDataset(Digits(), &spec).ok());
  EXPECT_EQ(spec.train().loss(), v1::LOSS_CROSS_ENTROPY);
  EXPECT_EQ(spec.dataset().task(), v1::TASK_CLASSIFICATION);
  spec = Mlp();
  ASSERT_TRUE(FitSpecToDataset(Diabetes(), &spec).ok());
  EXPECT_EQ(spec.train().loss(), v1::LOSS_MEAN_SQUARED_ERROR);
}

TEST(FitSpecToDataset, ModelOfTheOtherTaskIsRefused) {
  v1::JobSpec linear = Mlp();
  linear.mutable_model()->mutable_linear();
  ExpectRefused(Digits(), linear, "model.linear", "use `softmax` or `mlp`");
  v1::JobSpec softmax = Mlp();
  softmax.mutable_model()->mutable_softmax();
  ExpectRefused(Diabetes(), softmax, "model.softmax", "use `linear` or `mlp`");
}

TEST(FitSpecToDataset, LossOfTheOtherTaskIsRefused) {
  v1::JobSpec spec = Mlp();
  spec.mutable_train()->set_loss(v1::LOSS_MEAN_SQUARED_ERROR);
  ExpectRefused(Digits(), spec, "train.loss", "use cross_entropy");
}

TEST(FitSpecToDataset, EarlyStoppingOnAMetricThatTheTaskLacksIsRefused) {
  v1::JobSpec spec = Mlp();
  spec.mutable_train()->mutable_early_stopping()->set_metric("validation/accuracy");
  ExpectRefused(Diabetes(), spec, "train.early_stopping.metric", "/rmse");
  spec.mutable_train()->mutable_early_stopping()->set_metric("validation/r2");
  ExpectRefused(Digits(), spec, "train.early_stopping.metric", "/accuracy");
}

TEST(FitSpecToDataset, TaskThatContradictsTheRegisteredOneIsRefused) {
  v1::JobSpec spec = Mlp();
  spec.mutable_dataset()->set_task(v1::TASK_REGRESSION);
  ExpectRefused(Digits(), spec, "dataset.task", "classification task with 10 classes");
}

}  // namespace
}  // namespace lockstep
