// CompleteSpec of optimizers, schedules, groups and losses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/spec/spec.h"

namespace lockstep::train_spec_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::JobSpec Read(const std::vector<std::string>& overrides) {
  auto spec =
      ParseSpec("dataset: { path: a.csv }\nmodel: { mlp: { hidden: [8] } }", "job.yaml", "", overrides);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : v1::JobSpec();
}

v1::JobSpec Complete(const std::vector<std::string>& overrides) {
  v1::JobSpec spec = Read(overrides);
  const absl::Status status = CompleteSpec(&spec);
  EXPECT_TRUE(status.ok()) << status;
  return spec;
}

TEST(CompleteTrain, OptimizersDefaultsAreNotTheProtos) {
  const v1::OptimizerSpec adagrad = Complete({"train.optimizer={adagrad: {}}"}).train().optimizer();
  EXPECT_EQ(adagrad.adagrad().learning_rate(), 0.01);
  EXPECT_EQ(adagrad.adagrad().epsilon(), 1e-10);
  const v1::OptimizerSpec rmsprop = Complete({"train.optimizer={rmsprop: {}}"}).train().optimizer();
  EXPECT_EQ(rmsprop.rmsprop().alpha(), 0.99);
  EXPECT_TRUE(rmsprop.rmsprop().has_momentum());
  const v1::OptimizerSpec lion = Complete({"train.optimizer={lion: {}}"}).train().optimizer();
  EXPECT_EQ(lion.lion().learning_rate(), 1e-4);
  EXPECT_EQ(lion.lion().beta2(), 0.99);
  const v1::OptimizerSpec muon = Complete({"train.optimizer={muon: {}}"}).train().optimizer();
  EXPECT_EQ(muon.muon().learning_rate(), 0.02);
  EXPECT_EQ(muon.muon().weight_decay(), 0.1);
  EXPECT_EQ(muon.muon().adamw().learning_rate(), 1e-3);
}

TEST(CompleteTrain, SchedulesDefaultsAreNotTheProtos) {
  const v1::ScheduleSpec cycle = Complete({"train.schedule={one_cycle: {}}"}).train().schedule();
  EXPECT_EQ(cycle.one_cycle().rise(), 0.3);
  EXPECT_EQ(cycle.one_cycle().final_factor(), 4e-6);
  EXPECT_EQ(Complete({"train.schedule={polynomial: {}}"}).train().schedule().polynomial().power(), 1);
  const v1::ScheduleSpec stable = Complete({"train.schedule={warmup_stable_decay: {}}"}).train().schedule();
  EXPECT_EQ(stable.warmup_stable_decay().decay(), 0.2);
  const v1::ScheduleSpec plateau = Complete({"train.schedule={plateau: {}}"}).train().schedule();
  EXPECT_EQ(plateau.plateau().patience(), 3);
  EXPECT_EQ(plateau.plateau().metric(), "validation/loss");
}

TEST(CompleteTrain, GroupsFactorIsNotFilledOrADecayIsInvented) {
  const v1::TrainSpec train = Complete({"train.groups=[{pattern: 'layers.0.*'}]"}).train();
  EXPECT_EQ(train.groups(0).learning_rate_factor(), 1);
  EXPECT_FALSE(train.groups(0).has_weight_decay());
}

TEST(CompleteTask, ModelAloneDoesNotDecideLossOrTask) {
  EXPECT_EQ(Complete({"model={svm: {}}"}).train().loss(), v1::LOSS_HINGE);
  EXPECT_EQ(Complete({"model={svm: {}}"}).name(), "svm");
  const v1::JobSpec autoencoder = Complete({"model={autoencoder: {hidden: [8, 2]}}"});
  EXPECT_EQ(autoencoder.dataset().task(), v1::TASK_RECONSTRUCTION);
  EXPECT_EQ(autoencoder.model().autoencoder().activation(), v1::ACTIVATION_RELU);
}

struct Case {
  std::vector<std::string> overrides;
  std::string error;  // its begin
};

void PrintTo(const Case& c, std::ostream* os) { *os << c.error; }

class RefusedTrainSpec : public ::testing::TestWithParam<Case> {};

TEST_P(RefusedTrainSpec, IsTakenOrDoesNotNameTheField) {
  v1::JobSpec spec = Read(GetParam().overrides);
  const absl::Status status = CompleteSpec(&spec);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedTrainSpec,
    ::testing::Values(
        Case{{"train.optimizer.adagrad.learning_rate=0"}, "train.optimizer.adagrad.learning_rate: expected"},
        Case{{"train.optimizer.adagrad.epsilon=0"}, "train.optimizer.adagrad.epsilon: expected"},
        Case{{"train.optimizer.rmsprop.alpha=1"}, "train.optimizer.rmsprop.alpha: expected"},
        Case{{"train.optimizer.rmsprop.momentum=-1"}, "train.optimizer.rmsprop.momentum: expected"},
        Case{{"train.optimizer.lion.beta1=1"}, "train.optimizer.lion.beta1: expected"},
        Case{{"train.optimizer.lion.weight_decay=-1"}, "train.optimizer.lion.weight_decay: expected"},
        Case{{"train.optimizer.muon.momentum=1"}, "train.optimizer.muon.momentum: expected"},
        Case{{"train.optimizer.muon.adamw.beta1=1"}, "train.optimizer.muon.adamw.beta1: expected"},
        Case{{"train.schedule.one_cycle.rise=1"}, "train.schedule.one_cycle.rise: expected"},
        Case{{"train.schedule={one_cycle: {}, warmup_steps: 3}"},
             "train.schedule.warmup_steps: one_cycle has"},
        Case{{"train.schedule.polynomial.power=0"}, "train.schedule.polynomial.power: expected"},
        Case{{"train.schedule.warmup_stable_decay.decay=2"},
             "train.schedule.warmup_stable_decay.decay: expec"},
        Case{{"train.schedule.plateau.factor=1"}, "train.schedule.plateau.factor: expected"},
        Case{{"train.schedule.plateau.metric=accuracy"}, "train.schedule.plateau.metric: expected one of"},
        Case{{"train.ema=1"}, "train.ema: expected a number between 0 and 1"},
        Case{{"train.label_smoothing=1"}, "train.label_smoothing: expected"},
        Case{{"train.weight_rounding=stochastic"}, "train.weight_rounding: stochastic is for"},
        Case{{"train.evaluate_every_steps=0"}, "train.evaluate_every_steps: expected"},
        Case{{"train.groups=[{}]"}, "train.groups[0].pattern: missing"},
        Case{{"train.groups=[{pattern: a, learning_rate_factor: 0}]"},
             "train.groups[0].learning_rate_factor: expected a finite number above 0, got 0; train.freeze"},
        Case{{"train.groups=[{pattern: a}, {pattern: b, weight_decay: -1}]"},
             "train.groups[1].weight_decay: "},
        Case{{"train.freeze=[a, '']"}, "train.freeze[1]: expected a pattern"},
        Case{{"model={svm: {}}", "train.loss=cross_entropy"},
             "train.loss: model.svm is trained with the hinge"},
        Case{{"model={svm: {}}", "train.label_smoothing=0.1"},
             "train.label_smoothing: is for train.loss cross"},
        Case{{"train.label_smoothing=0.1", "dataset.task=regression"}, "train.label_smoothing: is for class"},
        Case{{"train.loss=hinge", "dataset.task=regression"}, "train.loss hinge: is for classification, but"},
        Case{{"model={autoencoder: {}}"}, "model.autoencoder.hidden: expected at least one width"},
        Case{{"model={autoencoder: {hidden: [4, 0]}}"}, "model.autoencoder.hidden[1]: expected"},
        Case{{"model={autoencoder: {hidden: [4]}}", "dataset.task=classification"},
             "model.autoencoder: is for reconstruction, but dataset.task is for classification"},
        Case{{"dataset.task=reconstruction"},
             "model.mlp: is for classification or regression, but dataset.task"},
        Case{{"dataset.task=regression", "train.schedule.plateau.metric=validation/accuracy"},
             "train.schedule.plateau.metric validation/accuracy: is for classification or language models, "
             "but dataset.task"}));

}  // namespace
}  // namespace lockstep::train_spec_test
