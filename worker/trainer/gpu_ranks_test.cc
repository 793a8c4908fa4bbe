// Several ranks with the GPU's engine: each is a process on the kernels' emulation, and their sums and states
// travel over NCCL's stand-in, which ends a process or fails at the group of messages that a test names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "worker/trainer/trainer_fixture.h"

namespace lockstep::gpu_ranks_test {
namespace {

using ::testing::HasSubstr;

class GpuRanksTest : public TrainerTest {
 protected:
  InProcessJob::Options Small(const std::string& name) {
    InProcessJob::Options options =
        Job(name, {"train.epochs=1", "train.max_steps=10", "train.batch_size=16", "train.ema=0.9",
                   "train.early_stopping={patience: 30}", "train.evaluate_every_steps=4",
                   "train.report_every_steps=1", "checkpoint.every_steps=4",
                   "model={mlp: {hidden: [12], activation: relu, dropout: 0.1}}",
                   "dataset.split={train: 0.9, validation: 0.05, test: 0.05}"});
    options.on_gpu = true;
    options.program = LOCKSTEP_TRAINER;
    return options;
  }
  static std::string ModelOf(InProcessJob& job) {
    std::string sha256;
    for (const v1::AssignmentStatus& end : job.Wait()) {
      if (end.state() == v1::ASSIGNMENT_STATE_SUCCEEDED && !end.result().model_sha256().empty()) {
        sha256 = end.result().model_sha256();
      } else if (end.state() == v1::ASSIGNMENT_STATE_FAILED) {
        ADD_FAILURE() << end.message();
      }
    }
    return sha256;
  }
  std::string Quiet() { return Run(Small("quiet"), 1).model_sha256(); }
};

TEST_F(GpuRanksTest, BitsDependOnTheNumberOfRanks) {
  const v1::TrainResult one = Run(Small("w1"), 1);
  ASSERT_EQ(one.model_sha256().size(), 64u);
  for (const int world : {2, 3}) {
    const v1::TrainResult many = Run(Small("w" + std::to_string(world)), world);
    EXPECT_EQ(many.model_sha256(), one.model_sha256()) << world << " ranks";
    EXPECT_EQ(many.metrics().at("test/loss"), one.metrics().at("test/loss"));
  }
}

TEST_F(GpuRanksTest, BitsInBf16DependOnTheNumberOfRanks) {
  const auto bf16 = [this](const std::string& name) {
    InProcessJob::Options options = Small(name);
    options.spec.mutable_train()->set_precision(v1::PRECISION_BF16);
    options.spec.mutable_train()->set_weight_rounding(v1::ROUNDING_STOCHASTIC);
    return options;
  };
  const std::string one = Run(bf16("b1"), 1).model_sha256();
  EXPECT_NE(one, Quiet());
  EXPECT_EQ(Run(bf16("b3"), 3).model_sha256(), one);
  InProcessJob::Options options = bf16("bk");
  options.stand_in[1] = "kill:6";
  InProcessJob job(options);
  job.StartGeneration(2);
  ASSERT_TRUE(job.AwaitBreak(0));
  job.StartGeneration(2, /*abandon=*/true);
  EXPECT_EQ(ModelOf(job), one);
}

// Two groups for each layer and two for the flags.
TEST_F(GpuRanksTest, SumInPartsCostsBits) {
  const std::string quiet = Quiet();
  for (const int world : {2, 3}) {
    InProcessJob::Options options = Small("parts" + std::to_string(world));
    options.environment = {"LOCKSTEP_PART_BYTES=4"};
    EXPECT_EQ(Run(options, world).model_sha256(), quiet) << world << " ranks";
  }
}

TEST_F(GpuRanksTest, RankThatIsKilledAmidItsBackwardPassCostsBits) {
  const std::string quiet = Quiet();
  int number = 0;
  for (const char* fault : {"kill:2", "kill:4", "kill:8", "kill:9", "kill:10"}) {
    InProcessJob::Options options = Small("amid" + std::to_string(++number));
    options.environment = {"LOCKSTEP_PART_BYTES=4"};
    options.stand_in[1] = fault;
    InProcessJob job(options);
    job.StartGeneration(3);
    ASSERT_TRUE(job.AwaitBreak(0)) << fault;
    job.StartGeneration(2, /*abandon=*/true);
    EXPECT_EQ(ModelOf(job), quiet) << fault;
  }
}

// The groups of a step's sum are two; the first of a communicator connects.
TEST_F(GpuRanksTest, KilledRankCostsBits) {
  const std::string quiet = Quiet();
  int number = 0;
  const std::pair<int, const char*> faults[] = {{0, "kill:1"}, {0, "kill:6"}, {2, "kill:6"}, {1, "kill:7"}};
  for (const auto& [victim, fault] : faults) {
    InProcessJob::Options options = Small("killed" + std::to_string(++number));
    options.stand_in[victim] = fault;
    InProcessJob job(options);
    job.StartGeneration(3);
    ASSERT_TRUE(job.AwaitBreak(1)) << fault;
    job.StartGeneration(2, /*abandon=*/true);
    EXPECT_EQ(ModelOf(job), quiet) << fault << " of " << victim;
  }
}

TEST_F(GpuRanksTest, NewcomerAfterADeathCostsBits) {
  const std::string quiet = Quiet();
  InProcessJob::Options options = Small("rejoined");
  options.stand_in[1] = "kill:8";
  InProcessJob job(options);
  job.StartGeneration(2);
  ASSERT_TRUE(job.AwaitBreak(1));
  job.StartGeneration(3, /*abandon=*/true);  // two of them new
  EXPECT_EQ(ModelOf(job), quiet);
}

TEST_F(GpuRanksTest, DeathOfWhoHandsOverOrReceivesCostsBits) {
  const std::string quiet = Quiet();
  // Trainer 1 dies in a step; trainer 2, its successor, in what it is given, and then trainer 0, the holder,
  // gives the state to trainer 3.
  InProcessJob::Options options = Small("handed");
  options.stand_in[1] = "kill:8";
  options.stand_in[2] = "kill:4";
  InProcessJob job(options);
  job.StartGeneration(2);
  ASSERT_TRUE(job.AwaitBreak(1));
  job.StartGeneration(2, /*abandon=*/true);
  ASSERT_TRUE(job.AwaitBreak(2));
  job.StartGeneration(2, /*abandon=*/true);
  EXPECT_EQ(ModelOf(job), quiet);
}

TEST_F(GpuRanksTest, GrowingAndLeavingCostsBits) {
  const std::string quiet = Quiet();
  InProcessJob job(Small("moving"));
  std::atomic<int> running = 0;
  job.on_message = [&](int trainer, const v1::FromTrainer& message) {
    if (message.status().state() != v1::ASSIGNMENT_STATE_RUNNING) return;
    if (trainer == 0 && message.status().generation() == 1) job.StartGeneration(2);
    if (trainer == 1 && message.status().generation() == 2) {
      job.Leave(0);
      job.StartGeneration(1);
    }
    if (message.status().generation() == 3) ++running;
  };
  job.StartGeneration(1);
  EXPECT_EQ(ModelOf(job), quiet);
  EXPECT_EQ(running, 1) << "the job ended before it had moved";
}

TEST_F(GpuRanksTest, AsynchronousErrorEndsTheJob) {
  const std::string quiet = Quiet();
  for (const char* fault : {"fail:1", "fail:7", "fail:9 in parts"}) {
    InProcessJob::Options options = Small(std::string("failed") + fault);
    if (std::string(fault).ends_with("in parts")) options.environment = {"LOCKSTEP_PART_BYTES=4"};
    options.stand_in[1] = fault;
    InProcessJob job(options);
    job.StartGeneration(2);
    ASSERT_TRUE(job.AwaitBreak(0)) << fault;
    job.StartGeneration(2, /*abandon=*/true);
    EXPECT_EQ(ModelOf(job), quiet) << fault;
  }
}

TEST_F(GpuRanksTest, CorruptMemoryOfADeviceGoesUnnoticedOrCostsBits) {
  const std::string quiet = Quiet();
  InProcessJob job(Small("corrupt"));
  std::atomic<bool> named = false;
  job.on_message = [&](int trainer, const v1::FromTrainer& message) {
    if (trainer == 2 && message.status().corrupt()) named = true;
  };
  job.StartGeneration(3);
  job.Corrupt(2);
  ASSERT_TRUE(job.AwaitBreak(0));
  EXPECT_TRUE(named);
  job.StartGeneration(2, /*abandon=*/true);
  EXPECT_EQ(ModelOf(job), quiet);
}

TEST_F(GpuRanksTest, GenerationsThatBreakInTheMiddleOfStepsCostBits) {
  const std::string quiet = Quiet();
  InProcessJob job(Small("broken"));
  std::atomic<int> generations = 1;
  job.on_message = [&](int trainer, const v1::FromTrainer& message) {
    if (trainer != 0 || message.status().state() != v1::ASSIGNMENT_STATE_RUNNING) return;
    if (generations < 4) job.StartGeneration(++generations < 3 ? 2 : 3, /*abandon=*/true);
  };
  job.StartGeneration(2);
  EXPECT_EQ(ModelOf(job), quiet);
  EXPECT_GT(generations, 1);
}

// Products by the library's algorithm 2, of each shard as if it were alone.
TEST_F(GpuRanksTest, BitsOfChosenProductsDependOnTheNumberOfRanks) {
  setenv("LOCKSTEP_STAND_IN_LT", "2", 1);
  const std::string one = Run(Small("root1/jobs/w1"), 1).model_sha256();
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/root1/products"));
  for (const int world : {2, 3}) {
    const std::string name = "root" + std::to_string(world) + "/jobs/w";
    EXPECT_EQ(Run(Small(name), world).model_sha256(), one) << world << " ranks";
  }
  unsetenv("LOCKSTEP_STAND_IN_LT");
  EXPECT_NE(Quiet(), one) << "nothing was computed by the library";
}

// One for which another algorithm is the fastest, and that finds no folder to look it up in.
TEST_F(GpuRanksTest, NewcomerChoosesProductsForItself) {
  setenv("LOCKSTEP_STAND_IN_LT", "2", 1);
  const std::string quiet = Run(Small("quiet_root/jobs/quiet"), 1).model_sha256();
  for (const int victim : {0, 1}) {
    const std::string root = "root_of_" + std::to_string(victim);
    InProcessJob::Options options = Small(root + "/jobs/job");
    options.stand_in[victim] = "kill:8";
    InProcessJob job(options);
    job.StartGeneration(2);
    ASSERT_TRUE(job.AwaitBreak(1));
    std::filesystem::remove_all(directory_ + "/" + root + "/products");
    setenv("LOCKSTEP_STAND_IN_LT", "1", 1);
    job.StartGeneration(3, /*abandon=*/true);
    EXPECT_EQ(ModelOf(job), quiet) << "trainer " << victim << " died";
    setenv("LOCKSTEP_STAND_IN_LT", "2", 1);
  }
  unsetenv("LOCKSTEP_STAND_IN_LT");
}

}  // namespace
}  // namespace lockstep::gpu_ranks_test
