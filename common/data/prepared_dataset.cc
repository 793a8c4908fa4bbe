#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "common/data/cell.h"
#include "common/data/dataset.h"
#include "common/data/dataset_files.h"
#include "common/data/language_data.h"
#include "common/data/preprocessing.h"
#include "common/data/table.h"
#include "common/data/target.h"
#include "common/numerics/permutation.h"
#include "common/numerics/sample_digest.h"
#include "nlohmann/json.hpp"

namespace lockstep {

struct PreparedDataset::Impl {
  std::unique_ptr<LanguageData> language;  // then the rest is unused

  // One part, in record order, ready to be copied out.
  struct Rows {
    std::vector<int64_t> records;
    std::unique_ptr<float[]> features;  // (records, features)
    std::vector<int32_t> classes;       // (records), classification
    std::vector<float> targets;         // (records), regression
  };

  v1::DatasetFormat format = v1::DATASET_FORMAT_UNSPECIFIED;
  std::string label;
  uint64_t seed = 0;
  v1::Task task = v1::TASK_UNSPECIFIED;
  std::vector<std::string> classes;
  Preprocessing preprocessing;
  NumericTransform target;
  std::array<Rows, kParts> parts;

  const Rows& rows(Part part) const { return parts[static_cast<size_t>(part)]; }
};

namespace {

// Reads as the registered version was read, whatever inference would say now.
v1::DatasetSpec PinnedSpec(const v1::Dataset& dataset) {
  v1::DatasetSpec spec;
  spec.set_path(dataset.path());
  spec.set_labels(dataset.labels_path());
  spec.set_label(dataset.label());
  spec.set_format(dataset.format());
  spec.set_task(dataset.task());
  if (dataset.format() == v1::DATASET_FORMAT_CSV) {
    for (const v1::Column& column : dataset.columns())
      (*spec.mutable_columns())[column.name()] = column.type();
  }
  return spec;
}

absl::Status CheckFingerprint(const v1::Dataset& dataset) {
  ASSIGN_OR_RETURN(const std::string fingerprint, FingerprintPaths(FilesOf(dataset)));
  if (fingerprint == dataset.fingerprint()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(dataset.path(), ": has changed since dataset ", dataset.name(), "@", dataset.version(),
                   " was registered: expected fingerprint ", dataset.fingerprint(), ", got ", fingerprint,
                   "; restore the file, or submit the job again to register the new content"));
}

absl::Status CheckClassesInTraining(const Target& target, const Split& split) {
  if (target.task != v1::TASK_CLASSIFICATION) return absl::OkStatus();
  std::vector<int64_t> total(target.classes.size()), trained(target.classes.size());
  for (int32_t c : target.class_of) ++total[static_cast<size_t>(c)];
  for (int64_t r : split.records[0]) ++trained[static_cast<size_t>(target.class_of[static_cast<size_t>(r)])];
  for (size_t c = 0; c < total.size(); ++c) {
    if (trained[c] > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("class ", Quoted(target.classes[c]), " has ", total[c],
                     " records and none of them is in the training part of ", split.records[0].size(),
                     "; raise dataset.split.train, add records of the class or remove it"));
  }
  return absl::OkStatus();
}

absl::Status CheckMemory(int64_t records, int64_t features) {
  int64_t bytes = 0;
  const bool overflow = __builtin_mul_overflow(records, features, &bytes) ||
                        __builtin_mul_overflow(bytes, int64_t{sizeof(float)}, &bytes);
  const int64_t memory = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  if (!overflow && (memory <= 0 || bytes < memory)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the prepared dataset of ", records, " records with ", features,
                   " features (one for each category) takes ",
                   overflow ? std::string("too many") : absl::StrCat(bytes), " bytes, this machine has ",
                   memory, "; ignore columns with many categories (dataset.columns: {name: ignore})"));
}

}  // namespace

PreparedDataset::PreparedDataset(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PreparedDataset::~PreparedDataset() = default;

absl::StatusOr<std::unique_ptr<PreparedDataset>> PreparedDataset::Prepare(const v1::Dataset& dataset,
                                                                          const v1::JobSpec& spec) {
  RETURN_IF_ERROR(CheckFingerprint(dataset));
  if (dataset.task() == v1::TASK_LANGUAGE_MODEL) {
    auto impl = std::make_unique<Impl>();
    impl->format = dataset.format();
    impl->task = dataset.task();
    ASSIGN_OR_RETURN(impl->language, LanguageData::Prepare(dataset, spec));
    if (impl->language->fingerprint() != dataset.fingerprint()) {
      return absl::DataLossError(absl::StrCat(dataset.path(), ": changed while it was read"));
    }
    return std::unique_ptr<PreparedDataset>(new PreparedDataset(std::move(impl)));
  }
  ASSIGN_OR_RETURN(const Table table, LoadTable(PinnedSpec(dataset)));
  if (table.fingerprint != dataset.fingerprint()) {
    return absl::DataLossError(absl::StrCat(dataset.path(), ": changed while it was read"));
  }
  const auto annotate = [&](const absl::Status& status) { return Annotate(status, dataset.path()); };
  // An autoencoder may be trained on a dataset that was registered with a label, which it then leaves out.
  const bool reconstruction =
      dataset.task() == v1::TASK_RECONSTRUCTION || spec.dataset().task() == v1::TASK_RECONSTRUCTION;
  absl::StatusOr<Target> target =
      ResolveTarget(table, reconstruction ? v1::TASK_RECONSTRUCTION : dataset.task());
  if (!target.ok()) return annotate(target.status());

  auto impl = std::make_unique<Impl>();
  impl->format = table.format;
  impl->label = dataset.label();
  impl->seed = spec.has_seed() ? spec.seed() : 1;
  impl->task = target->task;
  absl::StatusOr<Split> split =
      SplitRecords(table.records, target->class_of, static_cast<int>(target->classes.size()),
                   spec.dataset().split(), impl->seed);
  if (!split.ok()) return annotate(split.status());
  if (const absl::Status status = CheckClassesInTraining(*target, *split); !status.ok())
    return annotate(status);

  const std::vector<int64_t>& train = split->records[0];
  absl::StatusOr<Preprocessing> fitted = Preprocessing::Fit(table, train, spec.dataset().scaling());
  if (!fitted.ok()) return annotate(fitted.status());
  impl->preprocessing = *std::move(fitted);
  if (impl->task == v1::TASK_REGRESSION) {
    absl::StatusOr<NumericTransform> scaled = FitNumeric(target->values, train, v1::SCALING_STANDARD);
    if (!scaled.ok()) return annotate(Annotate(scaled.status(), "label"));
    impl->target = *scaled;
  }
  const int64_t features = impl->preprocessing.features();
  if (const absl::Status status = CheckMemory(table.records, features); !status.ok()) return annotate(status);

  for (int p = 0; p < kParts; ++p) {
    Impl::Rows& rows = impl->parts[static_cast<size_t>(p)];
    rows.records = std::move(split->records[static_cast<size_t>(p)]);
    const size_t values = rows.records.size() * static_cast<size_t>(features);
    rows.features.reset(new (std::nothrow) float[values]);
    if (rows.features == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat(dataset.path(), ": no memory left for ", values, " features"));
    }
    float* out = rows.features.get();
    for (int64_t r : rows.records) {
      const absl::Status applied = impl->preprocessing.Apply(table, r, out);
      if (!applied.ok()) return annotate(applied);
      out += features;
      if (impl->task == v1::TASK_CLASSIFICATION) {
        rows.classes.push_back(target->class_of[static_cast<size_t>(r)]);
      } else if (impl->task == v1::TASK_REGRESSION) {
        rows.targets.push_back(impl->target.Apply(target->values[static_cast<size_t>(r)]));
      }
    }
  }
  impl->classes = std::move(target->classes);
  return std::unique_ptr<PreparedDataset>(new PreparedDataset(std::move(impl)));
}

int PreparedDataset::features() const {
  return impl_->language ? sequence_length() : static_cast<int>(impl_->preprocessing.features());
}

int PreparedDataset::outputs() const {
  if (impl_->language) return vocabulary();
  if (impl_->task == v1::TASK_RECONSTRUCTION) return features();
  return impl_->task == v1::TASK_CLASSIFICATION ? static_cast<int>(impl_->classes.size()) : 1;
}

v1::Task PreparedDataset::task() const { return impl_->task; }

const std::vector<std::string>& PreparedDataset::classes() const { return impl_->classes; }

int PreparedDataset::sequence_length() const {
  return impl_->language ? impl_->language->sequence_length() : 0;
}

int PreparedDataset::vocabulary() const { return impl_->language ? impl_->language->vocabulary() : 0; }

const Tokenizer* PreparedDataset::tokenizer() const {
  return impl_->language ? impl_->language->tokenizer() : nullptr;
}

uint64_t PreparedDataset::FetchTokens(Part part, int64_t epoch, int64_t first, int64_t count, int32_t* tokens,
                                      int32_t* targets) const {
  return impl_->language->FetchTokens(part, epoch, first, count, tokens, targets);
}

int64_t PreparedDataset::size(Part part) const {
  if (impl_->language) return impl_->language->size(part);
  return static_cast<int64_t>(impl_->rows(part).records.size());
}

uint64_t PreparedDataset::Fetch(Part part, int64_t epoch, int64_t first, int64_t count, float* features,
                                int32_t* classes, float* targets) const {
  const Impl::Rows& rows = impl_->rows(part);
  const size_t width = static_cast<size_t>(impl_->preprocessing.features());
  const bool shuffled = part == Part::kTrain;
  const Permutation order(impl_->seed, static_cast<uint64_t>(epoch), size(part));
  uint64_t digest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const size_t row = static_cast<size_t>(shuffled ? order.At(first + i) : first + i);
    const size_t to = static_cast<size_t>(i);
    if (features != nullptr) {
      std::memcpy(features + to * width, rows.features.get() + row * width, width * sizeof(float));
    }
    if (classes != nullptr && !rows.classes.empty()) classes[to] = rows.classes[row];
    if (targets != nullptr && !rows.targets.empty()) targets[to] = rows.targets[row];
    if (targets != nullptr && impl_->task == v1::TASK_RECONSTRUCTION) {
      std::memcpy(targets + to * width, rows.features.get() + row * width, width * sizeof(float));
    }
    digest += SampleShare(static_cast<int64_t>(row));
  }
  return digest;
}

int64_t PreparedDataset::RecordAt(Part part, int64_t epoch, int64_t position) const {
  if (impl_->language) return impl_->language->RecordAt(part, epoch, position);
  const int64_t row = part == Part::kTrain
                          ? Permutation(impl_->seed, static_cast<uint64_t>(epoch), size(part)).At(position)
                          : position;
  return impl_->rows(part).records[static_cast<size_t>(row)];
}

double PreparedDataset::target_mean() const { return impl_->target.offset; }
double PreparedDataset::target_scale() const { return impl_->target.scale; }

std::string PreparedDataset::PreprocessingJson() const {
  nlohmann::ordered_json json;
  json["version"] = 1;
  if (impl_->language) {
    json["format"] = impl_->format == v1::DATASET_FORMAT_TEXT ? "text" : "tokens";
    json["task"] = "language_model";
    impl_->language->DescribeTo(&json);
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  json["format"] = impl_->format == v1::DATASET_FORMAT_IDX ? "idx" : "csv";
  json["task"] = impl_->task == v1::TASK_CLASSIFICATION ? "classification"
                 : impl_->task == v1::TASK_REGRESSION   ? "regression"
                                                        : "reconstruction";
  if (!impl_->label.empty()) json["label"] = impl_->label;
  if (impl_->task == v1::TASK_CLASSIFICATION) {
    json["classes"] = impl_->classes;
  } else if (impl_->task == v1::TASK_REGRESSION) {
    json["target"] = {{"mean", impl_->target.offset}, {"scale", impl_->target.scale}};
  }
  json.update(impl_->preprocessing.ToJson());
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace lockstep
