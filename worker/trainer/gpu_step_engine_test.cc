#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/spec/spec.h"
#include "worker/trainer/step_engine.h"

namespace lockstep::gpu_step_engine_test {
namespace {

constexpr int kFeatures = 6, kClasses = 3, kRowsPerShard = 2;

// A rank that holds all shards.
class Rank {
 public:
  explicit Rank(uint64_t seed) {
    auto parsed = ParseSpec(
        "dataset: { path: a.csv }\nmodel: { mlp: { hidden: [5], activation: relu } }\n"
        "train: { ema: 0.9, early_stopping: {}, optimizer: { adamw: {} } }",
        "job.yaml", "", {});
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    v1::JobSpec spec = *parsed;
    EXPECT_TRUE(CompleteSpec(&spec).ok());
    model_ = *engine::BuildModel(spec, kFeatures, kClasses, v1::TASK_CLASSIFICATION);
    auto made = MakeGpuStepEngine(model_, spec);
    EXPECT_TRUE(made.ok()) << made.status();
    engine_ = *std::move(made);
    model_->Initialize(seed, engine_->weights().data());
    std::ranges::copy(engine_->weights(), engine_->average().begin());
    options_.shards = {0, options_.logical_shards};
    options_.rows_per_shard = kRowsPerShard;
  }

  void Form() { Expect(engine_->Form(options_)); }
  void Step(int64_t step) {
    const int rows = options_.shards.size() * kRowsPerShard;
    for (int i = 0; i < rows * kFeatures; ++i) {
      engine_->features()[i] = std::sin(static_cast<float>(i + 100 * step));
    }
    for (int row = 0; row < rows; ++row) engine_->classes()[row] = row % kClasses;
    for (int shard = 0; shard < options_.shards.size(); ++shard) engine_->SetRows(shard, kRowsPerShard);
    Expect(engine_->Gradient(step, rows));
    float stats[engine::kStats] = {};
    stats[engine::kLoopFlags - engine::kSamples] = 7;
    Expect(engine_->PutStats(stats));
    Expect(engine_->GetStats(stats));
    EXPECT_GT(stats[engine::kLossSum], 0);
    EXPECT_EQ(stats[engine::kLoopFlags], 7);
    EXPECT_TRUE(std::isfinite(*engine_->Update(step, 0.01)));
    Expect(engine_->Average(0.9));
    Expect(engine_->KeepBest(StepEngine::Copy::kAverage));
  }

  // All of the state, as a peer sends and receives it.
  std::vector<std::span<float>> Buffers() {
    std::vector<std::span<float>> all = {engine_->weights(), engine_->average(), engine_->best()};
    for (const auto& state : engine_->optimizer_state()) {
      all.emplace_back(state.data, static_cast<size_t>(model_->flat_size()));
    }
    return all;
  }
  std::vector<float> Fetch() {
    Expect(engine_->Fetch());
    std::vector<float> all;
    for (const std::span<float> buffer : Buffers()) all.insert(all.end(), buffer.begin(), buffer.end());
    return all;
  }
  void Take(Rank& other) {
    other.Fetch();
    const std::vector<std::span<float>> from = other.Buffers(), to = Buffers();
    for (size_t i = 0; i < to.size(); ++i) std::ranges::copy(from[i], to[i].begin());
    Expect(engine_->Store());
  }

 private:
  static void Expect(const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; }

  std::shared_ptr<const engine::Model> model_;
  std::unique_ptr<StepEngine> engine_;
  engine::ExecutorOptions options_;
};

TEST(GpuStepEngineTest, StateThatWasHandedOverGivesOtherBits) {
  Rank holder(1), behind(2), newcomer(3);
  holder.Form();
  holder.Step(1);
  holder.Step(2);
  behind.Form();
  behind.Step(1);
  behind.Take(holder);  // over what its device holds
  newcomer.Take(holder);
  newcomer.Form();
  for (Rank* rank : {&holder, &behind, &newcomer}) rank->Step(3);
  const std::vector<float> expected = holder.Fetch();
  EXPECT_EQ(behind.Fetch(), expected);
  EXPECT_EQ(newcomer.Fetch(), expected);
}

TEST(GpuStepEngineTest, StateIsLostBetweenGenerations) {
  Rank quiet(1), moved(1);
  quiet.Form();
  moved.Form();
  for (int64_t step = 1; step <= 3; ++step) {
    quiet.Step(step);
    moved.Form();
    moved.Step(step);
  }
  EXPECT_EQ(moved.Fetch(), quiet.Fetch());
}

}  // namespace
}  // namespace lockstep::gpu_step_engine_test
