#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/durable_file.h"
#include "common/numerics/reduction_tree.h"
#include "kernels/gemm.h"
#include "worker/engine/rounded_weights.h"
#include "worker/engine/zeroed_floats.h"
#include "worker/trainer/step_engine.h"

namespace lockstep {
namespace {

// Steps below this, about a millisecond of one core, are computed by one thread. Digits (7e6) on two threads
// reaches 0.5 to 0.87 of one thread's steps/s, wide layers at batch 64 (6e7) 0.84 to 0.92, batch 256 (1.3e8)
// 1.08 to 1.34; beside other work on the machine a team loses most.
constexpr double kFlopsWorthATeam = 1e8;

double StepFlops(const engine::Model& model, const engine::ExecutorOptions& options) {
  double forward = 0;
  for (const engine::LayerSummary& layer : model.Layers()) forward += layer.flops;
  return 3 * forward * options.shards.size() * options.rows_per_shard;
}

class CpuStepEngine final : public StepEngine {
 public:
  CpuStepEngine(std::shared_ptr<const engine::Model> model, v1::JobSpec spec, engine::Team* team,
                std::unique_ptr<engine::Optimizer> optimizer)
      : model_(std::move(model)), spec_(std::move(spec)), team_(team), optimizer_(std::move(optimizer)) {
    const auto make = [this](bool wanted, engine::ZeroedFloats* copy) {
      if (wanted) {
        *copy = engine::ZeroedFloats(model_->flat_size());
        engine::TakeMemory(copy->span());
      }
      return copy->span();
    };
    weights_ = make(true, &own_[0]);
    average_ = make(spec_.train().has_ema(), &own_[1]);
    best_ = make(spec_.train().has_early_stopping(), &own_[2]);
    optimizer_state_ = optimizer_->state();
  }

  CollectiveOptions::Memory memory() const override { return CollectiveOptions::Memory::kHost; }
  kernels::Stream stream() const override { return nullptr; }
  float* node_sums() override { return node_sums_.data(); }

  absl::Status MakeRoom(const engine::ExecutorOptions& options) override {
    const int64_t nodes = std::ssize(MaximalNodes(options.logical_shards, options.shards));
    const int64_t size = nodes * model_->gradient_size();
    if (std::ssize(node_sums_.span()) == size) return absl::OkStatus();  // its gaps are zeros still
    node_sums_ = {};  // its memory goes back before more is taken
    node_sums_ = engine::ZeroedFloats(size);
    engine::TakeMemory(node_sums_.span());
    return absl::OkStatus();
  }
  absl::Status Form(engine::ExecutorOptions options) override {
    executor_.reset();
    optimizer_->KeepRounded(nullptr, {});
    rounded_ = {};
    options.team = team_;
    if (team_ != nullptr) team_->SetAlone(StepFlops(*model_, options) < kFlopsWorthATeam);
    rounded_ = engine::RoundedWeights(model_->flat_size(), options.precision, engine::RoundingOf(spec_),
                                      optimizer_.get());
    options.rounded_weights = rounded_.data();
    ASSIGN_OR_RETURN(executor_, engine::MakeExecutor(model_, spec_, options));
    return absl::OkStatus();
  }
  int64_t bytes() const override { return executor_->bytes() + rounded_.bytes(); }
  absl::StatusOr<int64_t> HostBytes(const engine::ExecutorOptions& options) const override {
    engine::ExecutorOptions complete = options;
    complete.team = team_;
    ASSIGN_OR_RETURN(const int64_t bytes, engine::ExecutorBytes(*model_, complete));
    return bytes + engine::RoundedWeights::Bytes(model_->flat_size(), options.precision);
  }
  absl::StatusOr<engine::Precision> PrecisionOf(v1::Precision wanted) const override {
    ASSIGN_OR_RETURN(const engine::Precision precision, engine::PrecisionOf(wanted));
    if (precision == engine::Precision::kBf16 && engine::RoundingOf(spec_).stochastic &&
        !kernels::cpu::ReadsRounded()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "train.weight_rounding: stochastic needs products that read rounded weights, as those of a "
          "processor with AMX or of a GPU do; this one offers ",
          kernels::cpu::InstructionSet(), "; leave it out, or run the job on another worker"));
    }
    return precision;
  }

  float* features() override { return executor_->features(); }
  int32_t* tokens() override { return executor_->tokens(); }
  int32_t* classes() override { return executor_->classes(); }
  float* targets() override { return executor_->targets(); }
  void SetRows(int local_shard, int rows) override { executor_->SetRows(local_shard, rows); }

  absl::Status Gradient(int64_t step, int batch_rows, const engine::PartReady&) override {
    rounded_.Follow(weights_.data(), step);
    executor_->Gradient(weights_.data(), step, batch_rows, node_sums_.data());
    return absl::OkStatus();
  }
  bool GradientIsDone() const override { return true; }
  absl::Status AwaitGradient() override { return absl::OkStatus(); }
  bool computes_beside() const override { return false; }
  absl::Status AwaitStaging() override { return absl::OkStatus(); }
  absl::Status Bring(int64_t) override { return absl::OkStatus(); }
  absl::Status PutStats(const float* stats) override {
    std::copy_n(stats, engine::kStats - engine::kSamples, Stats() + engine::kSamples);
    return absl::OkStatus();
  }
  absl::Status GetStats(float* stats) override {
    std::copy_n(Stats(), engine::kStats, stats);
    return absl::OkStatus();
  }
  absl::StatusOr<float> Update(int64_t step, double learning_rate) override {
    const float norm = optimizer_->Apply(node_sums_.data(), weights_.data(), step, learning_rate);
    if (std::isfinite(norm)) rounded_.Updated(step);
    return norm;
  }
  absl::Status Average(double decay) override {
    engine::AverageWeights(decay, model_->flat_size(), weights_.data(), average_.data(), team_);
    return absl::OkStatus();
  }
  absl::Status KeepBest(Copy judged) override {
    std::ranges::copy(of(judged), best_.begin());
    return absl::OkStatus();
  }

  absl::Status Predict(Copy weights, const float* x, int rows, float* out) override {
    executor_->Predict(of(weights).data(), x, rows, out);
    return absl::OkStatus();
  }
  absl::Status TokenLosses(Copy weights, const int32_t* x, const int32_t* classes, int rows, float* losses,
                           float* correct) override {
    executor_->TokenLosses(of(weights).data(), x, classes, rows, losses, correct);
    return absl::OkStatus();
  }

  absl::Status Fetch() override { return absl::OkStatus(); }
  absl::Status Store() override {
    rounded_.Forget();
    return absl::OkStatus();
  }
  void HostIsBehind() override { rounded_.Forget(); }
  absl::StatusOr<uint64_t> Hash(std::span<const std::span<float>> stretches) override {
    uint64_t hash = 0;
    for (const std::span<float> each : stretches) {
      hash =
          hash * 0x9e3779b97f4a7c15u + Xxh3({reinterpret_cast<const char*>(each.data()), each.size_bytes()});
    }
    return hash;
  }

 private:
  float* Stats() { return node_sums_.data() + model_->flat_size(); }

  const std::shared_ptr<const engine::Model> model_;
  const v1::JobSpec spec_;
  engine::Team* const team_;
  const std::unique_ptr<engine::Optimizer> optimizer_;
  engine::ZeroedFloats own_[3], node_sums_;
  engine::RoundedWeights rounded_;
  std::unique_ptr<engine::Executor> executor_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepEngine>> MakeCpuStepEngine(std::shared_ptr<const engine::Model> model,
                                                              const v1::JobSpec& spec, engine::Team* team) {
  ASSIGN_OR_RETURN(auto optimizer, engine::MakeOptimizer(spec.train(), *model, team));
  return std::make_unique<CpuStepEngine>(std::move(model), spec, team, std::move(optimizer));
}

}  // namespace lockstep
