// The trainer from an assignment to a model, without agent or coordinator: ranks are threads, everything else
// is real.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/checkpoint/checkpoint.h"
#include "common/data/dataset.h"
#include "common/spec/spec.h"
#include "worker/engine/engine.h"
#include "worker/trainer/in_process_job.h"
#include "worker/trainer/trainer_fixture.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

TEST_F(TrainerTest, SameBitsOnOneToFourRanks) {
  const std::vector<std::string> overrides = {"train.epochs=4"};
  const v1::TrainResult one = Run(Job("w1", overrides), 1);
  ASSERT_EQ(one.model_sha256().size(), 64u);
  EXPECT_GT(one.metrics().at("test/accuracy"), 0.9);
  for (int world : {2, 3, 4}) {
    const v1::TrainResult many = Run(Job("w" + std::to_string(world), overrides), world);
    EXPECT_EQ(many.model_sha256(), one.model_sha256()) << world << " ranks";
    EXPECT_EQ(many.metrics().at("test/loss"), one.metrics().at("test/loss"));
  }
}

TEST_F(TrainerTest, AnotherSeedGivesOtherBits) {
  const v1::TrainResult one = Run(Job("s1", {"train.epochs=1", "seed=1"}), 1);
  const v1::TrainResult two = Run(Job("s2", {"train.epochs=1", "seed=2"}), 1);
  EXPECT_NE(one.model_sha256(), two.model_sha256());
}

TEST_F(TrainerTest, ResumedFromAnyCheckpointOnOtherRanksGivesTheSameBits) {
  const std::vector<std::string> overrides = {"train.epochs=3", "checkpoint.every_steps=7",
                                              "checkpoint.keep_last=100"};
  const v1::TrainResult whole = Run(Job("whole", overrides), 2);
  auto checkpoints = ListCheckpoints(directory_ + "/whole/checkpoints", nullptr);
  ASSERT_TRUE(checkpoints.ok()) << checkpoints.status();
  ASSERT_GE(checkpoints->size(), 9u);
  for (size_t i = 0; i < checkpoints->size(); i += 3) {
    InProcessJob::Options again = Job("again" + std::to_string(i), overrides);
    again.restore_from = (*checkpoints)[i].path;
    EXPECT_EQ(Run(again, 3).model_sha256(), whole.model_sha256()) << again.restore_from;
  }
}

TEST_F(TrainerTest, PausedAndResumedGivesTheSameBits) {
  const std::vector<std::string> overrides = {"train.epochs=6"};
  const v1::TrainResult quiet = Run(Job("quiet", overrides), 2);
  const InProcessJob::Options options = Job("paused", overrides);
  {
    InProcessJob job(options);
    std::atomic<bool> asked = false;
    job.on_message = [&](int, const v1::FromTrainer& message) {
      if (message.status().state() == v1::ASSIGNMENT_STATE_RUNNING && !asked.exchange(true))
        job.Stop(v1::Stop::MODE_PAUSE);
    };
    job.StartGeneration(2);
    for (const auto& end : job.Wait()) ASSERT_EQ(end.state(), v1::ASSIGNMENT_STATE_STOPPED) << end.message();
  }
  const auto newest = NewestWhole(options.directory + "/checkpoints", nullptr);
  ASSERT_TRUE(newest.ok()) << newest.status();
  InProcessJob::Options again = options;
  again.restore_from = newest->path;
  EXPECT_EQ(Run(again, 1).model_sha256(), quiet.model_sha256());
}

TEST_F(TrainerTest, GrowingWhileItRunsGivesTheSameBits) {
  const std::vector<std::string> overrides = {"train.epochs=40"};
  const v1::TrainResult quiet = Run(Job("quiet", overrides), 1);
  InProcessJob job(Job("growing", overrides));
  std::atomic<int> generations = 1;
  std::atomic<int> grown_at_step = 0;
  std::thread grower;
  job.on_message = [&](int trainer, const v1::FromTrainer& message) {
    if (trainer != 0) return;
    if (message.status().state() == v1::ASSIGNMENT_STATE_RUNNING && generations.exchange(2) == 1) {
      grower = std::thread([&job] { job.StartGeneration(3); });
    }
    if (message.status().state() == v1::ASSIGNMENT_STATE_RUNNING && message.status().generation() == 2) {
      grown_at_step = static_cast<int>(message.status().step());
    }
  };
  job.StartGeneration(1);
  const auto first = job.Wait();
  if (grower.joinable()) grower.join();
  const auto ends = job.Wait();
  ASSERT_EQ(ends.size(), 3u);
  EXPECT_GT(grown_at_step, 0) << "the job ended before it grew";
  for (const auto& end : ends) EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_SUCCEEDED) << end.message();
  EXPECT_EQ(ends[0].result().model_sha256(), quiet.model_sha256());
}

TEST_F(TrainerTest, GenerationsThatBreakInTheMiddleOfStepsGiveTheSameBits) {
  const std::vector<std::string> overrides = {"train.epochs=40", "train.early_stopping={patience: 30}"};
  const v1::TrainResult quiet = Run(Job("quiet", overrides), 1);
  InProcessJob job(Job("broken", overrides));
  std::atomic<int> generations = 1;
  job.on_message = [&](int trainer, const v1::FromTrainer& message) {
    if (trainer != 0 || message.status().state() != v1::ASSIGNMENT_STATE_RUNNING) return;
    if (message.status().step() > 500 || generations == 25) return;
    // Newcomers among them: they are given the state of whoever is furthest.
    job.StartGeneration(++generations < 3 ? 2 : 3, /*abandon=*/true);
  };
  job.StartGeneration(2);
  const auto ends = job.Wait();
  ASSERT_EQ(ends.size(), 3u);
  EXPECT_GT(generations, 5) << "the job was hardly disturbed";
  for (const auto& end : ends) EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_SUCCEEDED) << end.message();
  EXPECT_EQ(ends[0].result().model_sha256(), quiet.model_sha256());
  EXPECT_EQ(ends[0].result().metrics().at("train/loss"), quiet.metrics().at("train/loss"));
}

TEST_F(TrainerTest, CancelStopsAllRanks) {
  InProcessJob job(Job("cancelled", {"train.epochs=100000"}));
  job.on_message = [&](int, const v1::FromTrainer& message) {
    if (message.status().state() == v1::ASSIGNMENT_STATE_RUNNING) job.Stop(v1::Stop::MODE_CANCEL);
  };
  job.StartGeneration(2);
  for (const auto& end : job.Wait()) EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_STOPPED) << end.message();
}

TEST_F(TrainerTest, DivergenceNamesStepAndCauseAndKeepsTheLastGoodCheckpoint) {
  const InProcessJob::Options options =
      Job("diverging", {"train.optimizer={sgd: {learning_rate: 1e30}}", "checkpoint.every_steps=1"});
  InProcessJob job(options);
  job.StartGeneration(2);
  for (const auto& end : job.Wait()) {
    EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_FAILED);
    EXPECT_THAT(end.message(), HasSubstr("step "));
    EXPECT_THAT(end.message(), HasSubstr("learning rate"));
  }
  const auto newest = NewestWhole(options.directory + "/checkpoints", nullptr);
  ASSERT_TRUE(newest.ok()) << newest.status();
}

TEST_F(TrainerTest, EarlyStoppingRestoresTheBestWeights) {
  const v1::TrainResult result =
      Run(Job("early", {"train.epochs=200", "train.optimizer={adamw: {learning_rate: 0.01}}",
                        "train.early_stopping={patience: 3}"}),
          2);
  EXPECT_THAT(result.stop_reason(), HasSubstr("early stopping"));
  const auto newest = NewestWhole(directory_ + "/early/checkpoints", nullptr);
  ASSERT_TRUE(newest.ok());
  // The kept weights' validation loss is the best one; the last step's is worse.
  EXPECT_LT(result.metrics().at("validation/loss"), newest->manifest.metrics.at("validation/loss"));
}

TEST_F(TrainerTest, DeviceOfAnotherProfileRefusesAReproducibleJob) {
  InProcessJob::Options options = Job("profile", {"train.epochs=1"});
  options.required_profile = engine::CurrentProfile();
  options.required_profile.set_instruction_set("sse41");
  InProcessJob job(options);
  job.StartGeneration(1);
  const auto ends = job.Wait();
  EXPECT_EQ(ends[0].state(), v1::ASSIGNMENT_STATE_FAILED);
  EXPECT_THAT(ends[0].message(), HasSubstr("sse41"));
}

TEST_F(TrainerTest, CheckpointOfAnotherModelIsRefusedByName) {
  Run(Job("donor", {"train.epochs=1"}), 1);
  InProcessJob::Options options = Job("heir", {"train.epochs=1", "model={mlp: {hidden: [32]}}"});
  options.restore_from = NewestWhole(directory_ + "/donor/checkpoints", nullptr)->path;
  options.weights_only = true;
  InProcessJob job(options);
  job.StartGeneration(1);
  const auto ends = job.Wait();
  EXPECT_EQ(ends[0].state(), v1::ASSIGNMENT_STATE_FAILED);
  EXPECT_THAT(ends[0].message(), HasSubstr("this job's model"));
}

TEST_F(TrainerTest, FullDiskCostsACheckpointNotTheJob) {
  const InProcessJob::Options options = Job("full", {"train.epochs=2", "checkpoint.every_steps=5"});
  // A file in the place of the checkpoints folder: every write fails, as on a full or read-only disk.
  std::ofstream(options.directory + "/checkpoints") << "in the way";
  InProcessJob job(options);
  std::atomic<int> problems = 0;
  job.on_message = [&](int, const v1::FromTrainer& message) {
    if (!message.checkpoint().problem().empty()) ++problems;
  };
  job.StartGeneration(1);
  const auto ends = job.Wait();
  EXPECT_EQ(ends[0].state(), v1::ASSIGNMENT_STATE_SUCCEEDED) << ends[0].message();
  EXPECT_GT(problems, 0);
}

TEST_F(TrainerTest, ShortLastBatchIsUsedAndBatchNeedNotDivide) {
  for (const char* batch : {"train.batch_size=61", "train.batch_size=5", "train.batch_size=100000"}) {
    const v1::TrainResult one = Run(Job(std::string("one") + batch, {"train.epochs=1", batch}), 1);
    const v1::TrainResult three = Run(Job(std::string("three") + batch, {"train.epochs=1", batch}), 3);
    EXPECT_EQ(one.model_sha256(), three.model_sha256()) << batch;
  }
}

}  // namespace
}  // namespace lockstep
