// The state of GradientDescent: what a checkpoint keeps, what a newcomer receives.
#include <algorithm>
#include <cstring>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/checkpoint/durable_file.h"
#include "common/spec/spec.h"
#include "worker/engine/device/device_profile.h"
#include "worker/trainer/gradient_descent.h"

namespace lockstep {
namespace {

using Parameters = std::vector<const engine::Parameter*>;

Parameters All(const engine::Model& model) {
  Parameters all;
  for (const engine::Parameter& parameter : model.parameters()) all.push_back(&parameter);
  return all;
}

// Those that have this state.
Parameters Of(const engine::Model& model, const engine::Optimizer::State& state) {
  Parameters some;
  for (const int number : state.parameters) some.push_back(&model.parameters()[number]);
  return some;
}

// What `flat` holds of these parameters, neighbours in one stretch with the gap between them: few messages.
void AddStretches(Parameters parameters, float* flat, std::vector<std::span<float>>* stretches) {
  constexpr int64_t kWidestGap = 16;
  std::sort(parameters.begin(), parameters.end(),
            [](const engine::Parameter* a, const engine::Parameter* b) { return a->offset < b->offset; });
  for (size_t i = 0; i < parameters.size();) {
    const int64_t begin = parameters[i]->offset;
    int64_t end = begin + parameters[i]->size;
    for (++i; i < parameters.size() && parameters[i]->offset < end + kWidestGap; ++i) {
      end = parameters[i]->offset + parameters[i]->size;
    }
    stretches->emplace_back(flat + begin, static_cast<size_t>(end - begin));
  }
}

// Views of the snapshot's copy of what `flat` holds of these parameters.
void AddTensors(const Parameters& parameters, const std::string& prefix, const float* flat,
                Snapshot* snapshot, std::vector<TensorView>* tensors) {
  std::vector<std::span<const float>> sources;
  for (const engine::Parameter* parameter : parameters) {
    sources.emplace_back(flat + parameter->offset, static_cast<size_t>(parameter->size));
  }
  const float* data = snapshot->Add(sources);
  for (const engine::Parameter* parameter : parameters) {
    tensors->push_back({absl::StrCat(prefix, parameter->name), DType::kF32, parameter->shape, data});
    data += parameter->size;
  }
}

std::string Shape(const std::vector<int64_t>& shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), ")");
}

absl::Status ReadTensors(const Parameters& parameters, const std::string& prefix,
                         const std::vector<SafetensorsFile>& files, const std::string& path, float* flat) {
  for (const engine::Parameter* wanted : parameters) {
    const engine::Parameter& parameter = *wanted;
    const TensorView* tensor = nullptr;
    for (const SafetensorsFile& file : files) {
      if (tensor == nullptr) tensor = file.Find(absl::StrCat(prefix, parameter.name));
    }
    if (tensor == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " has no tensor '", prefix, parameter.name,
                       "', which this job's model needs: it is of another model"));
    }
    if (tensor->dtype != DType::kF32 || tensor->shape != parameter.shape) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": tensor '", tensor->name, "' has shape ", Shape(tensor->shape),
                       ", this job's model expects float32 ", Shape(parameter.shape)));
    }
    std::memcpy(flat + parameter.offset, tensor->data, parameter.size * sizeof(float));
  }
  return absl::OkStatus();
}

}  // namespace

CheckpointManifest GradientDescent::Manifest() const {
  CheckpointManifest manifest;
  manifest.job_id = assignment_.job_id();
  manifest.step = step_;
  manifest.epoch = static_cast<double>(step_) / static_cast<double>(steps_per_epoch_);
  manifest.spec_hash = SpecHash(assignment_.spec());
  manifest.dataset_version = absl::StrCat(assignment_.dataset().name(), "@", assignment_.dataset().version());
  manifest.dataset_fingerprint = assignment_.dataset().fingerprint();
  manifest.profile = profile_;
  manifest.metrics = validation_;
  manifest.program_state = Values();
  manifest.best = best_is_current_;
  return manifest;
}

std::map<std::string, std::string> GradientDescent::Values() const {
  std::map<std::string, std::string> values = early_stopping_.state();
  values.merge(plateau_.state());
  values["step"] = absl::StrCat(step_);
  values["stopped_early"] = absl::StrCat(stopped_early_ ? 1 : 0);
  values["skipped_steps"] = absl::StrCat(skipped_);
  values["skipped_in_a_row"] = absl::StrCat(skipped_in_a_row_);
  values["last_loss"] = absl::StrFormat("%.17g", last_loss_);
  if (products_.has_value()) values["products"] = absl::Base64Escape(products_->ToText());
  return values;
}

absl::Status GradientDescent::SetValues(const std::map<std::string, std::string>& values) {
  RETURN_IF_ERROR(early_stopping_.SetState(values));
  RETURN_IF_ERROR(plateau_.SetState(values));
  const auto step = values.find("step");
  const auto stopped = values.find("stopped_early");
  const auto skipped = values.find("skipped_steps");
  const auto in_a_row = values.find("skipped_in_a_row");
  if (step == values.end() || stopped == values.end() || skipped == values.end() ||
      in_a_row == values.end() || !absl::SimpleAtoi(step->second, &step_) ||
      !absl::SimpleAtoi(skipped->second, &skipped_) ||
      !absl::SimpleAtoi(in_a_row->second, &skipped_in_a_row_)) {
    return absl::DataLossError(
        "the program state lacks step, stopped_early or skipped_*: it was written by another program or "
        "version");
  }
  stopped_early_ = stopped->second == "1";
  products_.reset();
  if (const auto products = values.find("products"); products != values.end()) {
    std::string text;
    if (!absl::Base64Unescape(products->second, &text)) text.clear();
    ASSIGN_OR_RETURN(products_, engine::ProductChoices::Parse(text));
  }
  // Checkpoints of earlier versions lack it; it is for people alone.
  if (const auto loss = values.find("last_loss"); loss != values.end()) {
    if (!absl::SimpleAtod(loss->second, &last_loss_)) last_loss_ = 0;
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> GradientDescent::StepHash() {
  const std::span<float> weights = engine_->weights();
  return engine_->Hash({&weights, 1});
}

absl::StatusOr<uint64_t> GradientDescent::StateHash() { return engine_->Hash(StateBuffers()); }

std::vector<GradientDescent::Saved> GradientDescent::SavedBesideTheWeights() const {
  const Parameters all = All(*model_);
  std::vector<Saved> saved;
  const auto add = [&saved](const Parameters& parameters, const std::string& prefix, const float* flat) {
    for (const engine::Parameter* parameter : parameters) saved.push_back({prefix, parameter, flat});
  };
  for (const engine::Optimizer::State& state : engine_->optimizer_state()) {
    add(Of(*model_, state), absl::StrCat(state.name, "."), state.data);
  }
  if (!engine_->average().empty()) add(all, "ema.", engine_->average().data());
  if (!engine_->best().empty()) add(all, "best.", engine_->best().data());
  return saved;
}

Shares GradientDescent::SharesOf(const std::vector<Saved>& saved, int world) const {
  constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
  std::vector<int64_t> bytes;
  for (const Saved& tensor : saved) bytes.push_back(tensor.parameter->size * kFloat);
  return ShareOut(model_->flat_size() * kFloat, bytes, world);
}

void GradientDescent::TakeSnapshot(int rank, int world, Snapshot* snapshot) {
  CheckpointContent& content = snapshot->content;
  content.manifest.step = step_;
  if (rank == 0) {
    content.manifest = Manifest();
    content.files = {{"spec.yaml", SpecToYaml(assignment_.spec())},
                     {"preprocessing.json", dataset_->PreprocessingJson()},
                     {kLedgerName, ledger_.ToText()}};
    AddTensors(All(*model_), "", engine_->weights().data(), snapshot, &content.model);
  }
  const std::vector<Saved> saved = SavedBesideTheWeights();
  const Shares shares = SharesOf(saved, world);
  for (size_t i = 0; i < saved.size(); ++i) {
    if (shares.owner[i] != rank) continue;
    AddTensors({saved[i].parameter}, saved[i].prefix, saved[i].flat, snapshot, &content.optimizer);
  }
  snapshot->part = shares.part[rank];
  snapshot->parts = shares.parts;
}

absl::Status GradientDescent::Restore(const OpenedCheckpoint& checkpoint, bool weights_only) {
  const std::string& path = checkpoint.info.path;
  const Parameters all = All(*model_);
  RETURN_IF_ERROR(ReadTensors(all, "", {checkpoint.model}, path, engine_->weights().data()));
  if (weights_only) {
    CopyWeights();
    return engine_->Store();
  }
  const CheckpointManifest& manifest = checkpoint.info.manifest;
  if (manifest.dataset_fingerprint != assignment_.dataset().fingerprint()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " was trained on dataset ", manifest.dataset_version, " (fingerprint ",
                     manifest.dataset_fingerprint, "), this job has ", assignment_.dataset().fingerprint()));
  }
  for (const engine::Optimizer::State& state : engine_->optimizer_state()) {
    RETURN_IF_ERROR(ReadTensors(Of(*model_, state), absl::StrCat(state.name, "."), checkpoint.optimizer, path,
                                state.data));
  }
  if (!engine_->average().empty())
    RETURN_IF_ERROR(ReadTensors(all, "ema.", checkpoint.optimizer, path, engine_->average().data()));
  if (!engine_->best().empty()) {
    RETURN_IF_ERROR(ReadTensors(all, "best.", checkpoint.optimizer, path, engine_->best().data()));
  }
  RETURN_IF_ERROR(engine_->Store());
  // Checkpoints of earlier versions have none: an audit then names the steps that left no record.
  const absl::StatusOr<std::string> ledger =
      ReadSmallFile(absl::StrCat(path, "/", kLedgerName), kMaxLedgerBytes);
  if (ledger.ok()) {
    ASSIGN_OR_RETURN(ledger_, SampleLedger::Parse(*ledger));
  } else if (!absl::IsNotFound(ledger.status())) {
    return ledger.status();
  }
  validation_ = manifest.metrics;
  RETURN_IF_ERROR(Annotate(SetValues(manifest.program_state), path));
  // A GPU's checkpoint of an earlier version: what it was computed with so far.
  if (!products_.has_value() && manifest.profile.device_kind() == engine::kGpuKind) KeepToOwnKernels();
  return absl::OkStatus();
}

std::vector<std::span<float>> GradientDescent::StateBuffers() {
  std::vector<std::span<float>> buffers = {engine_->weights()};
  for (const engine::Optimizer::State& state : engine_->optimizer_state()) {
    AddStretches(Of(*model_, state), state.data, &buffers);
  }
  if (!engine_->average().empty()) buffers.push_back(engine_->average());
  if (!engine_->best().empty()) buffers.push_back(engine_->best());
  return buffers;
}

std::vector<std::span<float>> GradientDescent::PeerBuffers() {
  std::vector<std::span<float>> buffers = StateBuffers();
  for (std::span<float>& buffer : buffers) buffer = {engine_->StateOf(buffer.data()), buffer.size()};
  return buffers;
}

// A checkpoint has validation_ as its metrics, and is never written while a validation is due.
std::string GradientDescent::StateValues() const {
  std::map<std::string, std::string> values = Values();
  values["validation_due"] = absl::StrCat(validation_due_ ? 1 : 0);
  values["best_is_current"] = absl::StrCat(best_is_current_ ? 1 : 0);
  for (const auto& [name, value] : validation_) values[name] = absl::StrFormat("%.17g", value);
  values["ledger"] = absl::Base64Escape(ledger_.ToText());
  // A rank that skips a step by taking this state can still report it.
  if (!points_.empty()) values["point"] = absl::Base64Escape(points_.back().SerializeAsString());
  return absl::StrJoin(values, "\n", absl::PairFormatter("="));
}

absl::Status GradientDescent::SetStateValues(const std::string& values) {
  std::map<std::string, std::string> map;
  for (const absl::string_view line : absl::StrSplit(values, '\n', absl::SkipEmpty())) {
    map.insert(std::pair<std::string, std::string>(absl::StrSplit(line, absl::MaxSplits('=', 1))));
  }
  RETURN_IF_ERROR(SetValues(map));
  validation_due_ = map["validation_due"] == "1";
  best_is_current_ = map["best_is_current"] == "1";
  validation_.clear();
  for (const auto& [name, text] : map) {
    double value = 0;
    if (absl::StartsWith(name, "validation/") && absl::SimpleAtod(text, &value)) validation_[name] = value;
  }
  std::string bytes;
  if (!absl::Base64Unescape(map["ledger"], &bytes)) bytes.clear();
  ASSIGN_OR_RETURN(ledger_, SampleLedger::Parse(bytes));
  v1::MetricPoint point;
  if (map.contains("point") && absl::Base64Unescape(map["point"], &bytes) && point.ParseFromString(bytes)) {
    AddPoint(std::move(point));
  }
  return absl::OkStatus();
}

}  // namespace lockstep
