#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "common/spec/spec.h"
#include "kernels/emulation/run.h"
#include "worker/trainer/step_engine.h"

namespace lockstep::gpu_step_engine_test {
namespace {

constexpr int kFeatures = 6, kClasses = 3, kRowsPerShard = 2;

// A rank that holds all shards.
class Rank {
 public:
  explicit Rank(uint64_t seed, const std::string& more = "") {
    auto parsed = ParseSpec(
        "dataset: { path: a.csv }\nmodel: { mlp: { hidden: [5], activation: relu } }\n"
        "train: { ema: 0.9, early_stopping: {}, optimizer: { adamw: {} }" +
            more + " }",
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
    options_.precision = *engine_->PrecisionOf(spec.train().precision());
  }

  absl::Status TryForm() { return engine_->Form(options_); }
  void Form() { Expect(TryForm()); }
  absl::Status TryGradient(int64_t step, const engine::PartReady& ready = nullptr) {
    return engine_->Gradient(step, options_.shards.size() * kRowsPerShard, ready);
  }
  void Step(int64_t step, const engine::PartReady& ready = nullptr) {
    Contribute(step, 0, ready);
    float stats[engine::kStats] = {};
    stats[engine::kLoopFlags - engine::kSamples] = 7;
    Expect(engine_->PutStats(stats));
    Expect(engine_->GetStats(stats));
    EXPECT_GT(stats[engine::kLossSum], 0);
    EXPECT_EQ(stats[engine::kLoopFlags], 7);
    EXPECT_TRUE(std::isfinite(*engine_->Update(step + 1, 0.01)));
    Expect(engine_->Average(0.9));
    Expect(engine_->KeepBest(StepEngine::Copy::kAverage));
  }

  void Skip(int64_t step) {
    Contribute(step, std::numeric_limits<float>::infinity());
    EXPECT_FALSE(std::isfinite(*engine_->Update(step + 1, 0.01)));
  }
  // The first row of the sums; the emulation's memory is the host's.
  std::vector<float> Row() { return {engine_->node_sums(), engine_->node_sums() + model_->gradient_size()}; }
  size_t flat_size() const { return static_cast<size_t>(model_->flat_size()); }

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
  void Contribute(int64_t step, float first = 0, const engine::PartReady& ready = nullptr) {
    const int rows = options_.shards.size() * kRowsPerShard;
    for (int i = 0; i < rows * kFeatures; ++i) {
      engine_->features()[i] = std::sin(static_cast<float>(i + 100 * step));
    }
    engine_->features()[0] += first;
    for (int row = 0; row < rows; ++row) engine_->classes()[row] = row % kClasses;
    for (int shard = 0; shard < options_.shards.size(); ++shard) engine_->SetRows(shard, kRowsPerShard);
    Expect(engine_->Gradient(step, rows, ready));
  }
  static void Expect(const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; }

  std::shared_ptr<const engine::Model> model_;
  std::unique_ptr<StepEngine> engine_;
  engine::ExecutorOptions options_;
};

// Of a job in fp32, and in bf16 with weights that are rounded either way.
class GpuStepEngineTest : public testing::TestWithParam<const char*> {};
constexpr const char* kKinds[] = {"", ", precision: bf16", ", precision: bf16, weight_rounding: stochastic"};
constexpr const char* kNames[] = {"fp32", "bf16", "stochastic"};
INSTANTIATE_TEST_SUITE_P(Precisions, GpuStepEngineTest, testing::ValuesIn(kKinds),
                         [](const auto& of) { return kNames[of.index]; });

TEST_P(GpuStepEngineTest, StateThatWasHandedOverGivesOtherBits) {
  Rank holder(1, GetParam()), behind(2, GetParam()), newcomer(3, GetParam());
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

// Nor do the rounded weights stay behind the optimizer's: who forms anew rounds all of them.
TEST_P(GpuStepEngineTest, StateIsLostBetweenGenerations) {
  Rank quiet(1, GetParam()), moved(1, GetParam());
  quiet.Form();
  moved.Form();
  for (int64_t step = 1; step <= 3; ++step) {
    quiet.Step(step);
    moved.Form();
    moved.Step(step);
  }
  EXPECT_EQ(moved.Fetch(), quiet.Fetch());
}

// A step that is not made leaves weights that were rounded for it.
TEST_P(GpuStepEngineTest, SkippedStepCostsARestartTheBits) {
  Rank quiet(1, GetParam()), restarted(1, GetParam());
  for (Rank* rank : {&quiet, &restarted}) {
    rank->Form();
    rank->Step(1);
    rank->Skip(2);
  }
  restarted.Form();
  for (Rank* rank : {&quiet, &restarted}) rank->Step(3);
  EXPECT_EQ(restarted.Fetch(), quiet.Fetch());
}

TEST(GpuStepEngineRounding, KindMakesNoDifference) {
  std::vector<std::vector<float>> states;
  for (const char* kind : kKinds) {
    Rank rank(1, kind);
    rank.Form();
    for (int64_t step = 1; step <= 3; ++step) rank.Step(step);
    states.push_back(rank.Fetch());
  }
  EXPECT_NE(states[0], states[1]);
  EXPECT_NE(states[1], states[2]);
}

// A collective that adds nothing, but notes what the row holds when a part's sum is begun.
TEST(GpuStepEngineParts, SumIsBegunAfterTheBackwardPass) {
  setenv("LOCKSTEP_PART_BYTES", "4", /*overwrite=*/1);
  Rank rank(1);
  rank.Form();
  rank.Step(1);
  const std::vector<float> before = rank.Row();
  std::vector<std::pair<size_t, std::vector<float>>> seen;  // end of the part, row
  rank.Step(2, [&](size_t begin, size_t count) {
    EXPECT_EQ(begin, seen.empty() ? 0 : seen.back().first);
    seen.emplace_back(begin + count, rank.Row());
    return absl::OkStatus();
  });
  ASSERT_GE(seen.size(), 2u) << "there are two layers";
  EXPECT_EQ(seen.back().first, rank.flat_size());
  for (size_t i = 0; i + 1 < seen.size(); ++i) {
    const auto& [end, row] = seen[i];
    const auto rest = static_cast<std::ptrdiff_t>(end), flat = static_cast<std::ptrdiff_t>(rank.flat_size());
    EXPECT_TRUE(std::equal(row.begin() + rest, row.begin() + flat, before.begin() + rest))
        << "what follows " << end << " was computed before its sum was begun";
    EXPECT_FALSE(std::equal(row.begin(), row.begin() + rest, before.begin())) << "it is the step before's";
  }
  unsetenv("LOCKSTEP_PART_BYTES");
}

TEST(GpuStepEngineParts, LostDeviceGoesUnnoticedInAReplayedStep) {
  Rank rank(1);
  rank.Form();
  for (int64_t step = 1; step <= 3; ++step) rank.Step(step);
  kernels::emulation::LoseDevice(true);
  const absl::Status lost = rank.TryGradient(4);
  EXPECT_EQ(lost.code(), absl::StatusCode::kInternal) << lost;
  const absl::Status and_a_peer =
      rank.TryGradient(4, [](size_t, size_t) { return absl::UnavailableError("a peer died"); });
  EXPECT_EQ(and_a_peer.code(), absl::StatusCode::kInternal) << and_a_peer;
  kernels::emulation::LoseDevice(false);
}

TEST(GpuStepEngineParts, PartsOfNoSizeAreTaken) {
  for (const char* text : {"0", "-4", "much", ""}) {
    setenv("LOCKSTEP_PART_BYTES", text, /*overwrite=*/1);
    EXPECT_EQ(Rank(1).TryForm().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  unsetenv("LOCKSTEP_PART_BYTES");
}

}  // namespace
}  // namespace lockstep::gpu_step_engine_test
