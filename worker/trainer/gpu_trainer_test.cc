// The trainer with the GPU's engine, from an assignment to a model: on the kernels' emulation, which is a
// thousand times slower than a GPU, and so with jobs of a few steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <string>

#include "kernels/emulation/run.h"
#include "worker/trainer/trainer_fixture.h"

namespace lockstep::gpu_trainer_test {
namespace {

using ::testing::HasSubstr;

class GpuTrainerTest : public TrainerTest {
 protected:
  void TearDown() override { kernels::emulation::LoseDevice(false); }

  // Twelve steps, a checkpoint at the fifth.
  InProcessJob::Options Small(const std::string& name, bool on_gpu,
                              const std::vector<std::string>& more = {}) {
    std::vector<std::string> overrides = {"train.epochs=1",
                                          "train.max_steps=12",
                                          "train.batch_size=16",
                                          "train.report_every_steps=1",
                                          "train.evaluate_every_steps=6",
                                          "checkpoint.every_steps=5",
                                          "checkpoint.keep_last=9",
                                          "model={mlp: {hidden: [16], activation: relu, dropout: 0.1}}",
                                          "dataset.split={train: 0.9, validation: 0.05, test: 0.05}"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    InProcessJob::Options options = Job(name, overrides);
    options.on_gpu = on_gpu;
    return options;
  }

  struct Trained {
    v1::TrainResult result;
    std::map<int64_t, v1::MetricPoint> points;
  };
  static Trained Train(const InProcessJob::Options& options) {
    InProcessJob job(options);
    job.StartGeneration(1);
    const auto ends = job.Wait();
    EXPECT_EQ(ends[0].state(), v1::ASSIGNMENT_STATE_SUCCEEDED) << ends[0].message();
    return {ends[0].result(), job.points()};
  }

  static v1::AssignmentStatus EndOf(const InProcessJob::Options& options) {
    InProcessJob job(options);
    job.StartGeneration(1);
    return job.Wait()[0];
  }

  static void ExpectTheSameNumbers(const Trained& gpu, const Trained& cpu) {
    ASSERT_EQ(gpu.points.size(), cpu.points.size());
    for (const auto& [step, point] : cpu.points) {
      ASSERT_TRUE(gpu.points.contains(step)) << step;
      for (const auto& [name, value] : point.values()) {
        if (name.find("accuracy") != std::string::npos || name.find("f1") != std::string::npos) continue;
        ASSERT_TRUE(gpu.points.at(step).values().contains(name)) << name;
        EXPECT_NEAR(gpu.points.at(step).values().at(name), value, 1e-3 * std::abs(value))
            << name << " of step " << step;
      }
    }
    for (const char* name : {"train/loss", "test/loss", "validation/loss"}) {
      const double value = cpu.result.metrics().at(name);
      EXPECT_NEAR(gpu.result.metrics().at(name), value, 1e-3 * value) << name;
    }
  }
};

TEST_F(GpuTrainerTest, LossesLeaveTheProcessors) {
  const Trained cpu = Train(Small("cpu", false)), gpu = Train(Small("gpu", true));
  ASSERT_EQ(cpu.points.size(), 12u);
  ExpectTheSameNumbers(gpu, cpu);
  EXPECT_NE(gpu.result.model_sha256(), "");
}

TEST_F(GpuTrainerTest, AverageAndMomentumLeaveTheProcessors) {
  const std::vector<std::string> more = {"train.ema=0.9",
                                         "train.optimizer={sgd: {learning_rate: 0.05, momentum: 0.9}}"};
  ExpectTheSameNumbers(Train(Small("gpu", true, more)), Train(Small("cpu", false, more)));
}

TEST_F(GpuTrainerTest, Bf16IsFarFromFp32OrHasOtherBitsAfterARestart) {
  const Trained fp32 = Train(Small("fp32", true));
  std::string nearest;
  for (const char* rounding : {"nearest", "stochastic"}) {
    const std::vector<std::string> more = {"train.precision=bf16",
                                           std::string("train.weight_rounding=") + rounding};
    const Trained bf16 = Train(Small(rounding, true, more));
    ASSERT_EQ(bf16.points.size(), fp32.points.size());
    for (const auto& [step, point] : fp32.points) {
      const double expected = point.values().at("train/loss");
      EXPECT_NEAR(bf16.points.at(step).values().at("train/loss"), expected, 0.02 * expected) << step;
    }
    EXPECT_NE(bf16.result.model_sha256(), fp32.result.model_sha256());
    EXPECT_NE(bf16.result.model_sha256(), nearest);
    nearest = bf16.result.model_sha256();

    InProcessJob::Options again = Small(std::string("again_") + rounding, true, more);
    const auto checkpoints = ListCheckpoints(directory_ + "/" + rounding + "/checkpoints", nullptr);
    ASSERT_TRUE(checkpoints.ok()) << checkpoints.status();
    for (const CheckpointInfo& checkpoint : *checkpoints) {
      if (checkpoint.manifest.step == 5) again.restore_from = checkpoint.path;
    }
    ASSERT_NE(again.restore_from, "");
    EXPECT_EQ(Train(again).result.model_sha256(), bf16.result.model_sha256());
  }
}

TEST_F(GpuTrainerTest, LossesOfLanguageModelsLeaveTheProcessorsOrHaveOtherBitsAgain) {
  std::ofstream text(directory_ + "/story.txt");
  for (int i = 0; i < 9; ++i) text << "line " << i << ": the cat sat on mat " << i % 7 << ".\n";
  text.close();
  for (const char* model : {"model={gpt: {layers: 1, heads: 2, width: 8, context: 8}}",
                            "model={llama: {layers: 1, heads: 2, key_value_heads: 1, width: 8, hidden: 8, "
                            "context: 8}}"}) {
    const std::vector<std::string> more = {
        model,
        "dataset={path: " + directory_ + "/story.txt, text: {sequence_length: 4}}",
        "train.batch_size=8",
        "train.max_steps=2",
        "train.evaluate_every_steps=100",
        "dataset.split={train: 0.9, validation: 0.05, test: 0.05}"};
    const Trained gpu = Train(Small("gpu", true, more));
    EXPECT_EQ(gpu.points.size(), 2u);
    ExpectTheSameNumbers(gpu, Train(Small("cpu", false, more)));
    EXPECT_EQ(Train(Small("again", true, more)).result.model_sha256(), gpu.result.model_sha256());
  }
}

TEST_F(GpuTrainerTest, LossesOfAResidualNetworkLeaveTheProcessorsOrHaveOtherBitsAgain) {
  const std::vector<std::string> more = {"model={resnet: {input_shape: [8, 8, 1], depth: 8, width: 2}}",
                                         "train.batch_size=8", "train.max_steps=2",
                                         "train.evaluate_every_steps=100",
                                         "dataset.split={train: 0.98, validation: 0.01, test: 0.01}"};
  const Trained gpu = Train(Small("gpu", true, more));
  EXPECT_EQ(gpu.points.size(), 2u);
  ExpectTheSameNumbers(gpu, Train(Small("cpu", false, more)));
  EXPECT_EQ(Train(Small("again", true, more)).result.model_sha256(), gpu.result.model_sha256());
}

TEST_F(GpuTrainerTest, BitsDependOnTheRunOrTheCheckpoint) {
  const v1::TrainResult whole = Train(Small("whole", true)).result;
  InProcessJob::Options again = Small("again", true);
  const auto checkpoints = ListCheckpoints(directory_ + "/whole/checkpoints", nullptr);
  ASSERT_TRUE(checkpoints.ok()) << checkpoints.status();
  for (const CheckpointInfo& checkpoint : *checkpoints) {
    if (checkpoint.manifest.step == 5) again.restore_from = checkpoint.path;
  }
  ASSERT_NE(again.restore_from, "");
  EXPECT_EQ(Train(again).result.model_sha256(), whole.model_sha256());
  EXPECT_EQ(Train(Small("twice", true)).result.model_sha256(), whole.model_sha256());

  // The same checkpoint on the processor: other bits, the same numbers.
  const Trained cpu = Train(Small("cpu", false));
  InProcessJob::Options on_cpu = again;
  on_cpu.on_gpu = false;
  on_cpu.directory = Small("on_cpu", false).directory;
  const Trained rest = Train(on_cpu);
  ASSERT_EQ(rest.points.begin()->first, 6);
  for (const auto& [step, point] : rest.points) {
    const double expected = cpu.points.at(step).values().at("train/loss");
    EXPECT_NEAR(point.values().at("train/loss"), expected, 1e-3 * expected) << step;
  }
}

// An epoch's third batch is a short one.
TEST_F(GpuTrainerTest, CapturedGraphsCostBits) {
  const std::vector<std::string> more = {"train.epochs=4", "train.batch_size=80",
                                         "dataset.split={train: 0.1, validation: 0.45, test: 0.45}"};
  const Trained replayed = Train(Small("replayed", true, more));
  EXPECT_EQ(replayed.points.size(), 12u);
  setenv("LOCKSTEP_GRAPHS", "0", /*overwrite=*/1);
  EXPECT_EQ(Train(Small("launched", true, more)).result.model_sha256(), replayed.result.model_sha256());
  unsetenv("LOCKSTEP_GRAPHS");
}

TEST_F(GpuTrainerTest, WhatHasNoKernelIsStarted) {
  const v1::AssignmentStatus layer =
      EndOf(Small("layer", true,
                  {"model={graph: {input_shape: [8, 8], layers: [{name: a, linear: {width: 387}}, "
                   "{name: b, attention: {heads: 1, projections: false}}, {name: c, last: {}}, {name: d, "
                   "linear: {}}]}}"}));
  EXPECT_EQ(layer.state(), v1::ASSIGNMENT_STATE_FAILED);
  EXPECT_THAT(layer.message(), HasSubstr("attention has no kernel on a GPU"));
  EXPECT_THAT(layer.message(), HasSubstr("CPU slots"));
}

TEST_F(GpuTrainerTest, JobThatDoesNotFitIsStarted) {
  std::string layers = "{conv: {channels: 512, padding: 1}}";
  for (int i = 0; i < 5; ++i) layers += ", {conv: {channels: 512, padding: 1}}";
  const v1::AssignmentStatus end = EndOf(
      Small("large", true,
            {"train.batch_size=1600", "model={cnn: {input_shape: [8, 8, 1], layers: [" + layers + "]}}"}));
  EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_FAILED);
  EXPECT_THAT(end.message(), HasSubstr("the job does not fit the device emulation"));
  EXPECT_THAT(end.message(), HasSubstr("activations and their gradients"));
}

TEST_F(GpuTrainerTest, LostDeviceEndsTheJob) {
  InProcessJob job(Small("lost", true, {"train.max_steps=1000", "train.epochs=1000"}));
  job.on_message = [&](int, const v1::FromTrainer& message) {
    if (message.status().state() == v1::ASSIGNMENT_STATE_RUNNING) kernels::emulation::LoseDevice(true);
  };
  job.StartGeneration(1);
  const v1::AssignmentStatus end = job.Wait()[0];
  EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_CRASHED) << end.message();
  EXPECT_THAT(end.message(), HasSubstr("device 0 is lost"));
}

}  // namespace
}  // namespace lockstep::gpu_trainer_test
