// Mini-batch gradient descent, the first program: see program.h for the life cycle and DESIGN's "A step" for
// why its bits do not depend on the ranks. With train.ema, the weights' moving average is what is validated,
// kept as the best and shipped; training itself goes on from the weights.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/audit/sample_ledger.h"
#include "common/base/status.h"
#include "common/data/dataset.h"
#include "lockstep/v1/workers.pb.h"
#include "worker/engine/engine.h"
#include "worker/engine/team.h"
#include "worker/trainer/early_stopping.h"
#include "worker/trainer/evaluation.h"
#include "worker/trainer/plateau.h"
#include "worker/trainer/program.h"
#include "worker/trainer/shares.h"
#include "worker/trainer/step_engine.h"

namespace lockstep {

class GradientDescent : public Program {
 public:
  // Reads and prepares the dataset, builds the model and its fresh weights. `profile` goes into checkpoints.
  static absl::StatusOr<std::unique_ptr<GradientDescent>> Create(const v1::Assignment& assignment,
                                                                 const v1::NumericProfile& profile,
                                                                 int threads);

  int logical_shards() const override { return train().logical_shards() * train().accumulation(); }
  size_t reduction_size() const override { return static_cast<size_t>(model_->gradient_size()); }
  CollectiveOptions::Memory memory() const override { return engine_->memory(); }
  kernels::Stream stream() const override { return engine_->stream(); }
  absl::Status MakeRoom(ShardRange shards) override { return engine_->MakeRoom(OptionsFor(shards)); }
  // Collective on GPUs.
  absl::Status Form(Collective* collective, ShardRange shards) override;
  int64_t step() const override { return step_; }
  bool done() const override { return step_ >= total_steps_ || stopped_early_; }
  // Odd: settled; even: the validation of the step before is still due.
  int64_t position() const override { return 2 * step_ + (validation_due_ ? 0 : 1); }
  absl::Status Contribute(const PartReady& ready) override;
  float* node_sums() override { return engine_->node_sums(); }
  absl::Status PutFlags(const float* flags) override;
  absl::Status GetFlags(float* flags) override;
  absl::Status Complete() override;
  absl::Status Settle() override;
  bool at_natural_boundary() const override { return step_ % validate_every_ == 0; }
  bool next_is_natural_boundary() const override { return (step_ + 1) % validate_every_ == 0; }
  void FillProgress(v1::JobProgress* progress) const override;
  std::vector<v1::MetricPoint> TakePoints() override { return std::exchange(points_, {}); }
  v1::ModelSummary Summary() const override;
  int64_t samples() const override { return samples_; }
  absl::Status FetchState() override { return engine_->Fetch(); }
  absl::Status StoreState() override { return engine_->Store(); }
  // Of the weights: what else the state holds comes to light in them after the next step.
  absl::StatusOr<uint64_t> StepHash() override;
  absl::StatusOr<uint64_t> StateHash() override;
  void TakeSnapshot(int rank, int world, Snapshot* snapshot) override;
  absl::Status Restore(const OpenedCheckpoint& checkpoint, bool weights_only) override;
  std::vector<std::span<float>> StateBuffers() override;
  std::vector<std::span<float>> PeerBuffers() override;
  void StateCame() override { engine_->HostIsBehind(); }
  std::string StateValues() const override;
  absl::Status SetStateValues(const std::string& values) override;
  absl::StatusOr<v1::TrainResult> Finish(const std::string& model_directory) override;

 private:
  GradientDescent(const v1::Assignment& assignment, const v1::NumericProfile& profile, int threads);
  const v1::TrainSpec& train() const { return assignment_.spec().train(); }
  void CopyWeights();  // to their average and the best ones
  absl::Status LoadPretrained();
  engine::ExecutorOptions OptionsFor(ShardRange shards) const;
  int BatchRows(int64_t step) const;
  void FillBatch(int64_t step, const std::function<void()>& after_each_shard);
  absl::Status FillNextBatch();
  void EnterSamples(const float* stats);
  // What is validated, kept and shipped.
  StepEngine::Copy judged() const {
    return engine_->average().empty() ? StepEngine::Copy::kWeights : StepEngine::Copy::kAverage;
  }
  void AddPoint(v1::MetricPoint point);
  absl::Status Validate();
  int64_t StateBytes() const;
  absl::Status CheckMemory(const engine::ExecutorOptions& options) const;
  void LogEpoch(int64_t epoch);
  absl::Status NonFinite(double loss, float norm);
  CheckpointManifest Manifest() const;
  // What a checkpoint holds beside the weights, tensor by tensor, and who writes which.
  struct Saved {
    std::string prefix;  // of its name
    const engine::Parameter* parameter;
    const float* flat;
  };
  std::vector<Saved> SavedBesideTheWeights() const;
  Shares SharesOf(const std::vector<Saved>& saved, int world) const;
  absl::StatusOr<std::string> WriteResult(const std::string& model_directory, const v1::TrainResult& result,
                                          std::span<const float> shipped, CheckpointManifest manifest) const;
  void KeepToOwnKernels();
  absl::Status ChooseProducts();
  absl::Status AgreeOnProducts();  // collective
  std::map<std::string, std::string> Values() const;
  absl::Status SetValues(const std::map<std::string, std::string>& values);

  v1::Assignment assignment_;
  v1::NumericProfile profile_;
  engine::Team team_;
  engine::Precision precision_ = engine::Precision::kFp32;
  std::unique_ptr<PreparedDataset> dataset_;
  std::shared_ptr<const engine::Model> model_;
  std::unique_ptr<StepEngine>
      engine_;  // has the weights, their average, the best ones, the optimizer's state
  std::unique_ptr<Evaluator> evaluator_;
  EarlyStopping early_stopping_;
  Plateau plateau_;
  Collective* collective_ = nullptr;
  ShardRange shards_;
  int rows_per_shard_ = 0;

  float stats_[engine::kStats] = {};  // of this rank's contribution, then of the sum
  int64_t step_ = 0;
  int64_t steps_per_epoch_ = 0;
  int64_t total_steps_ = 0;
  int64_t validate_every_ = 1;  // steps
  int64_t report_every_ = 1;
  // On GPUs; none: not chosen yet. Part of the state.
  std::optional<engine::ProductChoices> products_;
  SampleLedger ledger_;  // of the steps whose effect is in the weights
  int64_t skipped_in_a_row_ = 0;
  int64_t skipped_ = 0;
  bool validation_due_ = false;
  bool stopped_early_ = false;
  bool best_is_current_ = false;  // the current weights are the best so far
  double last_loss_ = 0;
  std::map<std::string, double> validation_;  // validation/..., of the last validation
  std::vector<v1::MetricPoint> points_;
  std::chrono::steady_clock::time_point last_log_;
  static constexpr int64_t kNoStep = -1;
  struct {
    int64_t step = kNoStep;
    uint64_t digest = 0;
    int64_t samples = 0;
  } filled_;  // the batch in the engine's inputs
  int64_t samples_ = 0;
};

}  // namespace lockstep
