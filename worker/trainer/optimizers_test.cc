// Each optimizer, schedule, loss and small model as a whole job: the same bits on any number of ranks, and
// after a resume.
#include <gmock/gmock.h>

#include <cmath>

#include "worker/trainer/trainer_fixture.h"

namespace lockstep {
namespace {

struct Variant {
  std::string name;
  std::vector<std::string> overrides;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

class VariantTest : public TrainerTest, public ::testing::WithParamInterface<Variant> {
 protected:
  InProcessJob::Options Small(const std::string& name) {
    std::vector<std::string> overrides = {"train.epochs=3", "model={mlp: {hidden: [16], dropout: 0.1}}",
                                          "checkpoint.every_steps=9", "checkpoint.keep_last=100"};
    overrides.insert(overrides.end(), GetParam().overrides.begin(), GetParam().overrides.end());
    return Job(name, overrides);
  }
};

INSTANTIATE_TEST_SUITE_P(
    All, VariantTest,
    ::testing::Values(
        Variant{"adagrad", {"train.optimizer={adagrad: {learning_rate: 0.05}}"}},
        Variant{"rmsprop", {"train.optimizer={rmsprop: {learning_rate: 0.002, momentum: 0.9}}"}},
        Variant{"lion",
                {"train.optimizer={lion: {learning_rate: 0.002, weight_decay: 0.1}}",
                 "train.schedule={one_cycle: {}}"}},
        Variant{"muon", {"train.optimizer={muon: {}}", "train.schedule={polynomial: {power: 2}}"}},
        Variant{"ema", {"train.ema=0.9", "train.schedule={warmup_stable_decay: {}, warmup_steps: 5}"}},
        Variant{"plateau",
                {"train.schedule={plateau: {factor: 0.5, patience: 0, metric: validation/accuracy}}",
                 "train.evaluate_every_steps=4", "train.ema=0.5", "train.early_stopping={patience: 9}",
                 "train.optimizer={adamw: {learning_rate: 0.02}}"}},
        Variant{"groups",
                {"train.groups=[{pattern: '*.bias', learning_rate_factor: 3}, {pattern: 'layers.1.*', "
                 "weight_decay: 0.5}]",
                 "train.freeze=[layers.0.weight]", "train.optimizer={sgd: {momentum: 0.9}}"}},
        Variant{"smoothing", {"train.label_smoothing=0.1"}}, Variant{"hinge", {"train.loss=hinge"}},
        Variant{"svm",
                {"model={svm: {}}", "train.optimizer={sgd: {learning_rate: 0.01}}",
                 "train.early_stopping={metric: validation/accuracy}"}},
        Variant{"autoencoder",
                {"model={autoencoder: {hidden: [32, 8]}}",
                 "train.early_stopping={metric: "
                 "validation/mse}"}}),
    [](const auto& variant) { return variant.param.name; });

TEST_P(VariantTest, BitsDependOnTheRanksOrChangeOnResume) {
  const v1::TrainResult one = Run(Small("one"), 1);
  ASSERT_EQ(one.model_sha256().size(), 64u);
  for (const int world : {2, 3}) {
    const v1::TrainResult many = Run(Small("w" + std::to_string(world)), world);
    EXPECT_EQ(many.model_sha256(), one.model_sha256()) << world << " ranks";
    for (const auto& [name, value] : one.metrics()) EXPECT_EQ(many.metrics().at(name), value) << name;
  }
  auto checkpoints = ListCheckpoints(directory_ + "/one/checkpoints", nullptr);
  ASSERT_TRUE(checkpoints.ok()) << checkpoints.status();
  ASSERT_GE(checkpoints->size(), 5u);
  for (const size_t at : {size_t{1}, checkpoints->size() / 2}) {
    InProcessJob::Options again = Small("again" + std::to_string(at));
    again.restore_from = (*checkpoints)[at].path;
    EXPECT_EQ(Run(again, 2).model_sha256(), one.model_sha256()) << again.restore_from;
  }
}

class LearningTest : public TrainerTest {};

TEST_F(LearningTest, SupportVectorMachineDoesNotLearnDigits) {
  const v1::TrainResult result = Run(
      Job("svm", {"model={svm: {}}", "train.epochs=20", "train.optimizer={sgd: {learning_rate: 0.02}}"}), 2);
  EXPECT_GT(result.metrics().at("test/accuracy"), 0.9);
  EXPECT_GT(result.metrics().at("test/loss"), 0);
}

TEST_F(LearningTest, AutoencoderDoesNotLearnDigits) {
  const v1::TrainResult result =
      Run(Job("autoencoder", {"model={autoencoder: {hidden: [48, 16]}}", "train.epochs=20"}), 2);
  const auto& metrics = result.metrics();
  EXPECT_LT(metrics.at("test/mse"), 0.45);  // 1 is the features' own variance
  EXPECT_DOUBLE_EQ(metrics.at("test/rmse"), std::sqrt(metrics.at("test/mse")));
  EXPECT_EQ(metrics.at("test/mse"), metrics.at("test/loss"));
  EXPECT_LT(metrics.at("test/mae"), metrics.at("test/rmse"));
  EXPECT_EQ(metrics.count("test/accuracy") + metrics.count("test/r2"), 0u);
}

TEST_F(LearningTest, MuonDoesNotLearnDigits) {
  const v1::TrainResult result = Run(Job("muon", {"train.epochs=6", "train.optimizer={muon: {}}"}), 1);
  EXPECT_GT(result.metrics().at("test/accuracy"), 0.93);
}

TEST_F(LearningTest, NewcomerLacksAverageOrPlateau) {
  const std::vector<std::string> overrides = {
      "train.epochs=40", "train.ema=0.9999", "train.freeze=[layers.0.bias]",
      "train.schedule={plateau: {factor: 0.5, patience: 1}}", "train.optimizer={muon: {}}"};
  InProcessJob::Options alone = Job("quiet", overrides), growing = Job("growing", overrides);
  alone.spec.mutable_train()->clear_early_stopping();
  growing.spec.mutable_train()->clear_early_stopping();
  const v1::TrainResult quiet = Run(alone, 1);
  InProcessJob job(growing);
  std::atomic<int> generations = 1;
  std::atomic<int64_t> grown_at_step = 0;
  std::thread grower;
  job.on_message = [&](int trainer, const v1::FromTrainer& message) {
    if (trainer != 0 || message.status().state() != v1::ASSIGNMENT_STATE_RUNNING) return;
    if (generations.exchange(2) == 1) {
      grower = std::thread([&job] { job.StartGeneration(3); });
    }
    if (message.status().generation() == 2) grown_at_step = message.status().step();
  };
  job.StartGeneration(1);
  job.Wait();
  if (grower.joinable()) grower.join();
  const auto ends = job.Wait();
  EXPECT_GT(grown_at_step, 0) << "the job ended before it grew";
  for (const auto& end : ends) EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_SUCCEEDED) << end.message();
  EXPECT_EQ(ends[0].result().model_sha256(), quiet.model_sha256());
  // Newcomers evaluate their share with the average that they were given.
  for (const auto& [name, value] : quiet.metrics())
    EXPECT_EQ(ends[0].result().metrics().at(name), value) << name;
}

TEST_F(LearningTest, AverageIsNotWhatIsValidatedAndShipped) {
  // An average that hardly moves from the first weights: its loss stays where it began.
  for (const bool early_stopping : {true, false}) {
    InProcessJob::Options options =
        Job(early_stopping ? "best" : "last", {"train.epochs=3", "train.ema=0.999999"});
    if (!early_stopping) options.spec.mutable_train()->clear_early_stopping();
    const v1::TrainResult result = Run(options, 1);
    EXPECT_GT(result.metrics().at("validation/loss"), 2);
    EXPECT_LT(result.metrics().at("train/loss"), 1);
  }
}

}  // namespace
}  // namespace lockstep
