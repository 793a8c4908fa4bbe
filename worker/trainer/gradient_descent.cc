#include "worker/trainer/gradient_descent.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/checkpoint/folder_bytes.h"
#include "common/pretrained/import.h"
#include "common/spec/spec.h"
#include "spdlog/spdlog.h"
#include "worker/engine/device/device_profile.h"

namespace lockstep {
namespace {

// A single overflowing step is skipped, as loss scaling does; this many in a row do not heal.
constexpr int64_t kSkippedStepsThatFail = 5;

// An epoch may take a millisecond; a log line a second is enough for people.
constexpr std::chrono::seconds kLogPause{1};

constexpr int kDigestBytes = 8;

// A rank that does not report keeps its latest points: it may have to, once the first rank is lost.
constexpr size_t kKeptPoints = 20'000;

}  // namespace

GradientDescent::GradientDescent(const v1::Assignment& assignment, const v1::NumericProfile& profile,
                                 int threads)
    : assignment_(assignment),
      profile_(profile),
      team_(threads),
      early_stopping_(assignment.spec().train()),
      plateau_(assignment.spec().train()) {}

absl::StatusOr<std::unique_ptr<GradientDescent>> GradientDescent::Create(const v1::Assignment& assignment,
                                                                         const v1::NumericProfile& profile,
                                                                         int threads) {
  auto self = std::unique_ptr<GradientDescent>(new GradientDescent(assignment, profile, threads));
  const v1::JobSpec& spec = self->assignment_.spec();
  ASSIGN_OR_RETURN(self->dataset_, PreparedDataset::Prepare(assignment.dataset(), spec));
  const PreparedDataset& data = *self->dataset_;
  ASSIGN_OR_RETURN(self->model_, engine::BuildModel(spec, data.features(), data.outputs(), data.task()));
  if (profile.device_kind() == engine::kGpuKind) {
    ASSIGN_OR_RETURN(self->engine_, MakeGpuStepEngine(self->model_, spec));
  } else {
    ASSIGN_OR_RETURN(self->engine_, MakeCpuStepEngine(self->model_, spec, &self->team_));
  }
  ASSIGN_OR_RETURN(self->precision_, self->engine_->PrecisionOf(spec.train().precision()));
  self->evaluator_ =
      std::make_unique<Evaluator>(self->dataset_.get(), self->model_->loss(), self->logical_shards());

  const int64_t rows = data.size(Part::kTrain);
  const int64_t batch = std::min<int64_t>(spec.train().batch_size(), rows);
  self->assignment_.mutable_spec()->mutable_train()->set_batch_size(static_cast<int32_t>(batch));
  self->rows_per_shard_ = static_cast<int>((batch + self->logical_shards() - 1) / self->logical_shards());
  self->steps_per_epoch_ = (rows + batch - 1) / batch;
  self->total_steps_ = self->steps_per_epoch_ * spec.train().epochs();
  if (spec.train().max_steps() > 0)
    self->total_steps_ = std::min(self->total_steps_, spec.train().max_steps());
  self->validate_every_ =
      spec.train().has_evaluate_every_steps() ? spec.train().evaluate_every_steps() : self->steps_per_epoch_;
  self->report_every_ = spec.train().report_every_steps() > 0
                            ? spec.train().report_every_steps()
                            : std::max<int64_t>(1, self->total_steps_ / 1000);

  if (assignment.survivors().empty()) {  // else a peer hands over its state
    self->model_->Initialize(spec.seed(), self->engine_->weights().data());
    if (!spec.from().safetensors().empty() && assignment.restore_from().empty()) {
      RETURN_IF_ERROR(self->LoadPretrained());
    }
  }
  self->CopyWeights();
  return self;
}

void GradientDescent::CopyWeights() {
  for (const std::span<float> copy : {engine_->average(), engine_->best()}) {
    if (!copy.empty()) std::ranges::copy(engine_->weights(), copy.begin());
  }
}

absl::Status GradientDescent::LoadPretrained() {
  const v1::CheckpointSource& from = assignment_.spec().from();
  PretrainedOptions options;
  options.path = from.safetensors();
  options.names.insert(from.names().begin(), from.names().end());
  options.fresh.assign(from.fresh().begin(), from.fresh().end());
  std::vector<PretrainedTarget> targets;
  for (const engine::Parameter& parameter : model_->parameters()) {
    targets.push_back({parameter.name, parameter.shape, engine_->weights().data() + parameter.offset});
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> fresh, ImportPretrained(options, targets));
  spdlog::info("starts from {}: {} tensors read, {} start fresh", options.path, targets.size() - fresh.size(),
               fresh.size());
  return absl::OkStatus();
}

engine::ExecutorOptions GradientDescent::OptionsFor(ShardRange shards) const {
  engine::ExecutorOptions options;
  options.logical_shards = logical_shards();
  options.shards = shards;
  options.rows_per_shard = rows_per_shard_;
  options.seed = assignment_.spec().seed();
  options.reproducible = assignment_.spec().reproducible();
  options.passes = train().accumulation();
  options.precision = precision_;
  return options;
}

absl::Status GradientDescent::Form(Collective* collective, ShardRange shards) {
  collective_ = collective;
  shards_ = shards;
  const engine::ExecutorOptions options = OptionsFor(shards);
  RETURN_IF_ERROR(CheckMemory(options));
  RETURN_IF_ERROR(engine_->Form(options));
  filled_.step = kNoStep;
  RETURN_IF_ERROR(AgreeOnProducts());
  spdlog::info("rank {} of {}: shards {}..{} of {}, {} training rows, {} parameters, step {} of {}",
               collective->rank(), collective->world(), shards.begin, shards.end - 1, logical_shards(),
               dataset_->size(Part::kTrain), model_->parameter_count(), step_, total_steps_);
  return absl::OkStatus();
}

int GradientDescent::BatchRows(int64_t step) const {
  const int64_t batch = train().batch_size();
  const int64_t first = (step % steps_per_epoch_) * batch;
  return static_cast<int>(std::min(batch, dataset_->size(Part::kTrain) - first));
}

void GradientDescent::FillBatch(int64_t step, const std::function<void()>& after_each_shard) {
  const int64_t epoch = step / steps_per_epoch_;
  const int64_t first = (step % steps_per_epoch_) * train().batch_size();
  const int64_t rows = BatchRows(step);
  filled_ = {step, 0, 0};
  // The last batch of an epoch may be short: its rows are spread evenly, so that no rank idles and each
  // sample is used.
  for (int shard = shards_.begin; shard < shards_.end; ++shard) {
    const int local = shard - shards_.begin;
    const int64_t begin = rows * shard / logical_shards();
    const int64_t count = rows * (shard + 1) / logical_shards() - begin;
    const int64_t at = static_cast<int64_t>(local) * rows_per_shard_;
    if (count > 0 && model_->reads_tokens()) {
      filled_.digest += dataset_->FetchTokens(Part::kTrain, epoch, first + begin, count,
                                              engine_->tokens() + at * model_->features(),
                                              engine_->classes() + at * model_->positions());
    } else if (count > 0) {
      filled_.digest += dataset_->Fetch(
          Part::kTrain, epoch, first + begin, count, engine_->features() + at * dataset_->features(),
          engine_->classes() ? engine_->classes() + at : nullptr,
          engine_->targets() ? engine_->targets() + at * dataset_->outputs() : nullptr);
    }
    engine_->SetRows(local, static_cast<int>(count));
    filled_.samples += count;
    after_each_shard();
  }
}

// While the device computes this one's gradient. Once that is done, the batch is waited for.
absl::Status GradientDescent::FillNextBatch() {
  if (!engine_->computes_beside() || step_ + 1 >= total_steps_) return absl::OkStatus();
  RETURN_IF_ERROR(engine_->AwaitStaging());
  bool late = false;
  FillBatch(step_ + 1, [&] {
    if (clock_ == nullptr || late || !engine_->GradientIsDone()) return;
    late = true;
    clock_->Switch(TimeKind::kInput);
  });
  return engine_->Bring(step_ + 1);
}

absl::Status GradientDescent::Contribute(const PartReady& ready) {
  if (filled_.step != step_) {
    if (clock_ != nullptr) clock_->Switch(TimeKind::kInput);
    FillBatch(step_, [] {});
  }
  if (clock_ != nullptr) {
    clock_->Switch(TimeKind::kCompute);
    clock_->CountBatch(filled_.samples, model_->reads_tokens() ? filled_.samples * model_->positions() : 0);
  }
  stats_[engine::kSamples] = static_cast<float>(filled_.samples);
  for (int byte = 0; byte < kDigestBytes; ++byte) {
    stats_[engine::kSampleDigest + byte] = static_cast<float>(filled_.digest >> 8 * byte & 0xff);
  }
  filled_.step = kNoStep;
  RETURN_IF_ERROR(engine_->Gradient(step_, BatchRows(step_), ready));
  const absl::Status filled = FillNextBatch();
  const absl::Status computed = engine_->AwaitGradient();
  return computed.ok() ? filled : computed;
}

absl::Status GradientDescent::PutFlags(const float* flags) {
  static_assert(engine::kSampleDigest + kDigestBytes <= engine::kLoopFlags);
  static_assert(engine::kLoopFlags + kLoopFlags <= engine::kStats);
  std::copy_n(flags, kLoopFlags, stats_ + engine::kLoopFlags);
  return engine_->PutStats(stats_ + engine::kSamples);
}

absl::Status GradientDescent::GetFlags(float* flags) {
  RETURN_IF_ERROR(engine_->GetStats(stats_));
  std::copy_n(stats_ + engine::kLoopFlags, kLoopFlags, flags);
  return absl::OkStatus();
}

// What the ranks really read, not what they should have read: the audit compares.
void GradientDescent::EnterSamples(const float* stats) {
  SampleRange range;
  range.epoch = step_ / steps_per_epoch_;
  range.epoch_samples = dataset_->size(Part::kTrain);
  range.first_step = step_;
  range.steps = 1;
  range.first = (step_ % steps_per_epoch_) * train().batch_size();
  range.samples = static_cast<int64_t>(stats[engine::kSamples]);
  for (int byte = 0; byte < kDigestBytes; ++byte) {
    range.digest += static_cast<uint64_t>(stats[engine::kSampleDigest + byte]) << 8 * byte;
  }
  ledger_.Add(range);
}

absl::Status GradientDescent::Complete() {
  const int rows = BatchRows(step_);
  const double loss = stats_[engine::kLossSum] / (static_cast<double>(rows) * model_->positions());
  const double rate =
      plateau_.factor() * engine::LearningRate(train(), step_ + 1, steps_per_epoch_, total_steps_);
  float norm = std::numeric_limits<float>::quiet_NaN();
  if (std::isfinite(loss)) {
    ASSIGN_OR_RETURN(norm, engine_->Update(step_ + 1, rate));
  }
  if (!std::isfinite(norm)) RETURN_IF_ERROR(NonFinite(loss, norm));
  if (std::isfinite(norm)) {
    skipped_in_a_row_ = 0;
    if (!engine_->average().empty()) RETURN_IF_ERROR(engine_->Average(train().ema()));
  }
  EnterSamples(stats_);
  ++step_;
  samples_ += rows;
  best_is_current_ = false;
  if (std::isfinite(loss)) last_loss_ = loss;

  if (step_ % report_every_ == 0 || step_ == total_steps_) {
    v1::MetricPoint point;
    point.set_step(step_);
    point.set_epoch(static_cast<double>(step_) / static_cast<double>(steps_per_epoch_));
    auto& values = *point.mutable_values();
    values["train/loss"] = loss;
    values["learning_rate"] = rate;
    values["gradient_norm"] = norm;
    if (skipped_ > 0) values["train/skipped_steps"] = static_cast<double>(skipped_);
    AddPoint(std::move(point));
  }
  validation_due_ = at_natural_boundary() || step_ == total_steps_;
  return absl::OkStatus();
}

void GradientDescent::AddPoint(v1::MetricPoint point) {
  if (points_.size() >= kKeptPoints) points_.erase(points_.begin(), points_.begin() + kKeptPoints / 2);
  points_.push_back(std::move(point));
}

absl::Status GradientDescent::Settle() {
  if (!validation_due_) return absl::OkStatus();
  RETURN_IF_ERROR(Validate());
  validation_due_ = false;
  return absl::OkStatus();
}

absl::Status GradientDescent::NonFinite(double loss, float norm) {
  ++skipped_;
  ++skipped_in_a_row_;
  if (skipped_in_a_row_ == 1) {
    spdlog::warn("step {}: loss {} and gradient norm {}: not finite, the step is skipped", step_ + 1, loss,
                 norm);
  }
  if (skipped_in_a_row_ < kSkippedStepsThatFail && step_ + 1 < total_steps_) return absl::OkStatus();
  return absl::OutOfRangeError(
      absl::StrFormat("step %d: the loss is not finite (loss %g, gradient norm %g, %d steps in a row). "
                      "Likely cause: training diverged because the learning "
                      "rate (%g) is too large%s. Lower it, add warm-up (train.schedule.warmup_steps) or "
                      "train.gradient_clip; then submit again with "
                      "`from:` the last good checkpoint",
                      step_ + 1, loss, norm, skipped_in_a_row_, engine::BaseLearningRate(train().optimizer()),
                      assignment_.spec().dataset().scaling() == v1::SCALING_NONE
                          ? ", or the features are unscaled (dataset.scaling: none)"
                          : ""));
}

absl::Status GradientDescent::Validate() {
  if (dataset_->size(Part::kValidation) == 0) {
    LogEpoch((step_ + steps_per_epoch_ - 1) / steps_per_epoch_);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Evaluation evaluation,
                   evaluator_->Evaluate(Part::kValidation, judged(), engine_.get(), collective_, shards_));
  validation_.clear();
  for (const auto& [name, value] : evaluation.metrics) validation_["validation/" + name] = value;
  const int64_t epoch = (step_ + steps_per_epoch_ - 1) / steps_per_epoch_;
  best_is_current_ = early_stopping_.Observe(validation_, epoch);
  plateau_.Observe(validation_);
  if (best_is_current_ && early_stopping_.enabled()) RETURN_IF_ERROR(engine_->KeepBest(judged()));
  if (early_stopping_.should_stop()) stopped_early_ = true;
  if (points_.empty() || points_.back().step() != step_) {
    v1::MetricPoint point;
    point.set_step(step_);
    point.set_epoch(static_cast<double>(step_) / static_cast<double>(steps_per_epoch_));
    AddPoint(std::move(point));
  }
  for (const auto& [name, value] : validation_) (*points_.back().mutable_values())[name] = value;
  LogEpoch(epoch);
  return absl::OkStatus();
}

void GradientDescent::LogEpoch(int64_t epoch) {
  const auto now = std::chrono::steady_clock::now();
  const bool last = done();
  if (collective_->rank() != 0 || (!last && now - last_log_ < kLogPause)) return;
  last_log_ = now;
  std::string text;
  for (const auto& [name, value] : validation_)
    absl::StrAppend(&text, ", ", name, absl::StrFormat(" %.4g", value));
  spdlog::info("epoch {} of {}, step {}: loss {:.4g}{}", epoch, train().epochs(), step_, last_loss_, text);
}

void GradientDescent::FillProgress(v1::JobProgress* progress) const {
  progress->set_step(step_);
  progress->set_total_steps(total_steps_);
  progress->set_epoch(static_cast<double>(step_) / static_cast<double>(steps_per_epoch_));
  progress->set_total_epochs(train().epochs());
  progress->set_train_loss(last_loss_);
  if (const auto loss = validation_.find("validation/loss"); loss != validation_.end())
    progress->set_validation_loss(loss->second);
  if (const auto accuracy = validation_.find("validation/accuracy"); accuracy != validation_.end()) {
    progress->set_validation_accuracy(accuracy->second);
  }
}

absl::StatusOr<v1::TrainResult> GradientDescent::Finish(const std::string& model_directory) {
  v1::TrainResult result;
  const bool best = early_stopping_.enabled() && early_stopping_.has_best();
  const StepEngine::Copy shipped = best ? StepEngine::Copy::kBest : judged();
  if (best) {
    result.set_stop_reason(absl::StrFormat(
        "%s: the weights of epoch %d with %s %.6g are kept",
        stopped_early_ ? absl::StrCat("early stopping after ", train().early_stopping().patience(),
                                      " validations without improvement")
                       : "all epochs done",
        early_stopping_.best_epoch(), early_stopping_.metric(), early_stopping_.best_value()));
  } else {
    result.set_stop_reason("all epochs done");
  }
  CheckpointManifest manifest = Manifest();
  for (const auto& [part, name] :
       {std::pair{Part::kValidation, "validation/"}, std::pair{Part::kTest, "test/"}}) {
    if (dataset_->size(part) == 0) continue;
    ASSIGN_OR_RETURN(const Evaluation evaluation,
                     evaluator_->Evaluate(part, shipped, engine_.get(), collective_, shards_));
    for (const auto& [metric, value] : evaluation.metrics) (*result.mutable_metrics())[name + metric] = value;
    if (part == Part::kTest && !evaluation.confusion.empty()) {
      v1::ConfusionMatrix* matrix = result.mutable_confusion_matrix();
      matrix->mutable_classes()->Assign(dataset_->classes().begin(), dataset_->classes().end());
      matrix->mutable_counts()->Assign(evaluation.confusion.begin(), evaluation.confusion.end());
    }
  }
  (*result.mutable_metrics())["train/loss"] = last_loss_;
  if (collective_->rank() == 0) {
    RETURN_IF_ERROR(engine_->Fetch());
    ASSIGN_OR_RETURN(const std::string sha256,
                     WriteResult(model_directory, result, engine_->of(shipped), manifest));
    result.set_model_sha256(sha256);
    result.set_model_bytes(FolderBytes(model_directory));
  }
  // The others keep the state until the model is on disk: if this rank dies before, one of them writes it.
  std::vector<char> written(static_cast<size_t>(collective_->world()));
  const char mine = 1;
  RETURN_IF_ERROR(collective_->AllGather(&mine, 1, written.data()));
  return result;
}

absl::StatusOr<std::string> GradientDescent::WriteResult(const std::string& model_directory,
                                                         const v1::TrainResult& result,
                                                         std::span<const float> shipped,
                                                         CheckpointManifest manifest) const {
  manifest.metrics.clear();
  manifest.metrics.insert(result.metrics().begin(), result.metrics().end());
  std::vector<TensorView> tensors;
  for (const engine::Parameter& parameter : model_->parameters()) {
    tensors.push_back({parameter.name, DType::kF32, parameter.shape, shipped.data() + parameter.offset});
  }
  std::string metrics_json = "{";
  for (const auto& [name, value] : manifest.metrics) {
    absl::StrAppend(&metrics_json, metrics_json.size() > 1 ? "," : "", "\n  \"", name,
                    "\": ", absl::StrFormat("%.17g", value));
  }
  metrics_json += "\n}\n";
  return WriteModel(model_directory, manifest, tensors,
                    {{"spec.yaml", SpecToYaml(assignment_.spec())},
                     {"preprocessing.json", dataset_->PreprocessingJson()},
                     {"metrics.json", metrics_json},
                     {kLedgerName, ledger_.ToText()}});
}

}  // namespace lockstep
