// That the copy of the weights in bfloat16 follows whoever changes them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "common/spec/spec.h"
#include "kernels/gemm.h"
#include "worker/trainer/step_engine.h"

namespace lockstep::cpu_step_engine_test {
namespace {

constexpr int kFeatures = 6, kClasses = 3, kRowsPerShard = 2;

// A rank that holds all shards and multiplies in bf16.
class Rank {
 public:
  explicit Rank(uint64_t seed, const std::string& rounding = "nearest") {
    auto parsed = ParseSpec(
        "dataset: { path: a.csv }\nmodel: { mlp: { hidden: [40], activation: relu } }\n"
        "train: { precision: bf16, weight_rounding: " +
            rounding + ", optimizer: { adamw: {} } }",
        "job.yaml", "", {});
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    v1::JobSpec spec = *parsed;
    EXPECT_TRUE(CompleteSpec(&spec).ok());
    model_ = *engine::BuildModel(spec, kFeatures, kClasses, v1::TASK_CLASSIFICATION);
    auto made = MakeCpuStepEngine(model_, spec, nullptr);
    EXPECT_TRUE(made.ok()) << made.status();
    engine_ = *std::move(made);
    model_->Initialize(seed, engine_->weights().data());
    options_.shards = {0, options_.logical_shards};
    options_.rows_per_shard = kRowsPerShard;
    options_.precision = engine::Precision::kBf16;
    Form();
  }

  void Form() { Expect(engine_->Form(options_)); }

  // The gradient of a step, which is then made.
  std::vector<float> Step(int64_t step) {
    const int rows = options_.shards.size() * kRowsPerShard;
    for (int i = 0; i < rows * kFeatures; ++i) {
      engine_->features()[i] = std::sin(static_cast<float>(i + 100 * step));
    }
    for (int row = 0; row < rows; ++row) engine_->classes()[row] = row % kClasses;
    for (int shard = 0; shard < options_.shards.size(); ++shard) engine_->SetRows(shard, kRowsPerShard);
    Expect(engine_->MakeRoom(options_));
    Expect(engine_->Gradient(step, rows, nullptr));
    std::vector<float> gradient(engine_->node_sums(), engine_->node_sums() + model_->gradient_size());
    EXPECT_TRUE(std::isfinite(*engine_->Update(step + 1, 0.1)));
    return gradient;
  }

  StepEngine& engine() { return *engine_; }

 private:
  static void Expect(const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; }

  std::shared_ptr<const engine::Model> model_;
  std::unique_ptr<StepEngine> engine_;
  engine::ExecutorOptions options_;
};

class CpuStepEngineTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!kernels::cpu::ReadsRounded()) {
      GTEST_SKIP() << "products do not read rounded weights on this processor";
    }
  }
};

TEST_F(CpuStepEngineTest, RoundedWeightsStayBehindTheOptimizers) {
  std::vector<float> third;
  for (const char* rounding : {"nearest", "stochastic"}) {
    Rank kept(1, rounding), fresh(1, rounding);
    std::vector<float> gradient;
    for (int64_t step = 1; step <= 3; ++step) {
      fresh.Form();  // rounds all of them anew
      gradient = fresh.Step(step);
      EXPECT_EQ(kept.Step(step), gradient) << "step " << step;
    }
    EXPECT_NE(gradient, third) << rounding;
    third = gradient;
  }
}

TEST_F(CpuStepEngineTest, RoundedWeightsStayBehindAPeersOrACheckpoints) {
  Rank peer(1), restored(2), handed(3);
  for (Rank* rank : {&peer, &restored, &handed}) rank->Step(1);
  std::ranges::copy(peer.engine().weights(), restored.engine().weights().begin());
  ASSERT_TRUE(restored.engine().Store().ok());
  std::ranges::copy(peer.engine().weights(), handed.engine().StateOf(handed.engine().weights().data()));
  handed.engine().HostIsBehind();
  const std::vector<float> expected = peer.Step(2);
  EXPECT_EQ(restored.Step(2), expected);
  EXPECT_EQ(handed.Step(2), expected);
}

TEST_F(CpuStepEngineTest, RoundedWeightsAreNotCounted) {
  Rank rank(1);
  engine::ExecutorOptions options;
  options.shards = {0, options.logical_shards};
  options.rows_per_shard = kRowsPerShard;
  options.precision = engine::Precision::kBf16;
  const absl::StatusOr<int64_t> bf16 = rank.engine().HostBytes(options);
  ASSERT_TRUE(bf16.ok()) << bf16.status();
  EXPECT_EQ(*bf16, rank.engine().bytes());
  options.precision = engine::Precision::kFp32;
  EXPECT_EQ(*bf16 - *rank.engine().HostBytes(options), 2 * std::ssize(rank.engine().weights()));
}

}  // namespace
}  // namespace lockstep::cpu_step_engine_test
