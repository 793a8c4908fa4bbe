// Ranks that are processes with a GPU each, or that share the first one: with NCCL where there is a GPU, and
// the same tests with the kernels' emulation and NCCL's stand-in. The ranks of a machine would refuse to
// share a GPU; each with a host of its own, as far as NCCL knows, they do not.
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "worker/trainer/trainer_fixture.h"
#if LOCKSTEP_ON_GPU
#include "kernels/cuda/runtime.h"
#endif

namespace lockstep::cuda_ranks_test {
namespace {

class CudaRanksTest : public TrainerTest {
 protected:
  void SetUp() override {
#if LOCKSTEP_ON_GPU
    if (kernels::CountDevices() == 0) GTEST_SKIP() << "no CUDA device";
#endif
  }
  InProcessJob::Options Small(const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> overrides = {"train.epochs=1",
                                          "train.max_steps=12",
                                          "train.batch_size=16",
                                          "train.report_every_steps=1",
                                          "train.evaluate_every_steps=5",
                                          "checkpoint.every_steps=4",
                                          "model={mlp: {hidden: [12], activation: relu, dropout: 0.1}}",
                                          "dataset.split={train: 0.9, validation: 0.05, test: 0.05}"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    InProcessJob::Options options = Job(name, overrides);
    options.on_gpu = true;
    options.program = LOCKSTEP_TRAINER;
    options.environment = {"CUDA_VISIBLE_DEVICES=0", "NCCL_HOSTID=lockstep-test-{trainer}",
                           "NCCL_SOCKET_IFNAME=lo"};
    return options;
  }
};

TEST_F(CudaRanksTest, TwoRanksHaveOtherBitsThanOne) {
  const std::string bf16 = "train.precision=bf16";
  for (const std::vector<std::string>& more : {std::vector<std::string>(), {bf16}}) {
    const std::string name = more.empty() ? "fp32" : "bf16";
    EXPECT_EQ(Run(Small("two" + name, more), 2).model_sha256(),
              Run(Small("one" + name, more), 1).model_sha256());
  }
}

TEST_F(CudaRanksTest, RankThatIsKilledAndItsSuccessorCostBits) {
  const std::string quiet = Run(Small("quiet"), 1).model_sha256();
  InProcessJob job(Small("killed"));
  std::atomic<bool> killed = false;
  job.on_message = [&](int trainer, const v1::FromTrainer& message) {
    if (trainer == 0 && message.status().state() == v1::ASSIGNMENT_STATE_RUNNING && !killed.exchange(true)) {
      job.Kill(1);
    }
  };
  job.StartGeneration(2);
  ASSERT_TRUE(job.AwaitBreak(1)) << "the job ended before its rank was killed";
  job.StartGeneration(2, /*abandon=*/true);
  std::string sha256;
  for (const v1::AssignmentStatus& end : job.Wait()) {
    if (end.state() == v1::ASSIGNMENT_STATE_SUCCEEDED && !end.result().model_sha256().empty()) {
      sha256 = end.result().model_sha256();
    }
    EXPECT_NE(end.state(), v1::ASSIGNMENT_STATE_FAILED) << end.message();
  }
  EXPECT_EQ(sha256, quiet);
}

}  // namespace
}  // namespace lockstep::cuda_ranks_test
