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

TEST(FitSpecToDataset, PlateauOnAMetricThatTheTaskLacksIsRefused) {
  v1::JobSpec spec = Mlp();
  spec.mutable_train()->mutable_schedule()->mutable_plateau()->set_metric("validation/mse");
  ExpectRefused(Digits(), spec, "train.schedule.plateau.metric", "/accuracy");
}

TEST(FitSpecToDataset, AutoencoderOfALabelledTableLosesItsTaskOrLoss) {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_autoencoder()->add_hidden(8);
  spec.mutable_dataset()->set_task(v1::TASK_RECONSTRUCTION);
  spec.mutable_train();
  ASSERT_TRUE(FitSpecToDataset(Digits(), &spec).ok());
  EXPECT_EQ(spec.dataset().task(), v1::TASK_RECONSTRUCTION);
  EXPECT_EQ(spec.train().loss(), v1::LOSS_MEAN_SQUARED_ERROR);
  spec.mutable_train()->mutable_early_stopping()->set_metric("validation/r2");
  ExpectRefused(Digits(), spec, "train.early_stopping.metric", "/mse");
}

TEST(FitSpecToDataset, TableWithoutALabelTrainsAClassifier) {
  v1::Dataset bare = Digits();
  bare.set_task(v1::TASK_RECONSTRUCTION);
  ExpectRefused(bare, Mlp(), "model.mlp", "use `autoencoder`");
}

TEST(FitSpecToDataset, HingeAndSmoothingOfNumbersAreTaken) {
  v1::JobSpec spec = Mlp();
  spec.mutable_train()->set_loss(v1::LOSS_HINGE);
  ASSERT_TRUE(FitSpecToDataset(Digits(), &spec).ok());
  spec.mutable_dataset()->clear_task();
  ExpectRefused(Diabetes(), spec, "train.loss", "use mean_squared_error");
  spec = Mlp();
  spec.mutable_train()->set_label_smoothing(0.1);
  ExpectRefused(Diabetes(), spec, "train.label_smoothing", "cross_entropy");
}

TEST(FitSpecToDataset, TaskThatContradictsTheRegisteredOneIsRefused) {
  v1::JobSpec spec = Mlp();
  spec.mutable_dataset()->set_task(v1::TASK_REGRESSION);
  ExpectRefused(Digits(), spec, "dataset.task", "classification task with 10 classes");
}

v1::Dataset Story(v1::DatasetFormat format) {
  v1::Dataset dataset;
  dataset.set_name("story");
  dataset.set_path("/story");
  dataset.set_format(format);
  dataset.set_task(v1::TASK_LANGUAGE_MODEL);
  dataset.set_records(1000);
  dataset.add_columns()->set_maximum(50);
  return dataset;
}

v1::JobSpec Gru() {
  v1::JobSpec spec;
  spec.mutable_dataset()->set_name("story");
  spec.mutable_model()->mutable_gru()->set_context(20);
  spec.mutable_train();
  return spec;
}

TEST(SpecFit, ALanguageModelTakesItsTextFromTheDataset) {
  v1::JobSpec spec = Gru();
  const absl::Status status = FitSpecToDataset(Story(v1::DATASET_FORMAT_TEXT), &spec);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(spec.dataset().task(), v1::TASK_LANGUAGE_MODEL);
  EXPECT_EQ(spec.dataset().text().sequence_length(), 20) << "the model's context";
  EXPECT_TRUE(spec.dataset().text().tokenizer().has_char_());
  EXPECT_EQ(spec.train().loss(), v1::LOSS_CROSS_ENTROPY);
}

TEST(SpecFit, ALanguageModelThatDoesNotGoWithItsTextIsRefused) {
  v1::JobSpec spec = Gru();
  spec.mutable_model()->mutable_gru()->set_context(100);
  ExpectRefused(Story(v1::DATASET_FORMAT_TEXT), spec, "/story", "the validation part has 100 characters");
  spec = Gru();
  spec.mutable_dataset()->mutable_text()->mutable_tokenizer()->mutable_char_();
  ExpectRefused(Story(v1::DATASET_FORMAT_TOKENS), spec, "dataset.text.tokenizer", "holds tokens already");
  spec = Gru();
  spec.mutable_model()->mutable_gpt()->set_vocabulary(50);
  spec.mutable_model()->mutable_gpt()->set_context(20);
  ExpectRefused(Story(v1::DATASET_FORMAT_TOKENS), spec, "model", "holds the token 50");
  ExpectRefused(Story(v1::DATASET_FORMAT_TEXT), Mlp(), "dataset", "");
  spec = Gru();
  spec.mutable_model()->mutable_gpt();
  spec.mutable_dataset()->set_task(v1::TASK_LANGUAGE_MODEL);  // as CompleteSpec leaves it
  ExpectRefused(Digits(), spec, "dataset.task", "asks for language_model");
}

}  // namespace
}  // namespace lockstep
