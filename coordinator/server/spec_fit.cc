#include "coordinator/server/spec_fit.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/data/language_data.h"
#include "common/spec/complete_sequence_model.h"
#include "common/spec/image_spec.h"
#include "common/spec/spec.h"
#include "common/spec/text_names.h"
#include "common/spec/text_spec.h"

namespace lockstep {
namespace {

std::string Describe(const v1::Dataset& dataset) {
  const std::string name =
      absl::StrCat("dataset '", dataset.name(), "'",
                   dataset.label().empty() ? "" : absl::StrCat(" (label '", dataset.label(), "')"));
  switch (dataset.task()) {
    case v1::TASK_REGRESSION:
      return absl::StrCat(name, " is a regression task");
    case v1::TASK_LANGUAGE_MODEL:
      return absl::StrCat(name, " is for language models");
    case v1::TASK_RECONSTRUCTION:
      return absl::StrCat(name, " has no label, for reconstruction");
    default:
      return absl::StrCat(name, " is a classification task with ", dataset.classes_size(), " classes");
  }
}

absl::Status Misfit(const std::string& field, const v1::Dataset& dataset, const std::string& advice) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", Describe(dataset), "; ", advice));
}

absl::Status CheckModel(const v1::Dataset& dataset, v1::Task task, const v1::ModelSpec& model) {
  const bool classes = task == v1::TASK_CLASSIFICATION, numbers = task == v1::TASK_REGRESSION;
  if (model.kind_case() == v1::ModelSpec::kLinear && !numbers) {
    return Misfit(
        "model.linear", dataset,
        "linear regression predicts numbers; use `softmax` or `mlp`, or set dataset.task: regression");
  }
  if (model.kind_case() == v1::ModelSpec::kSoftmax && !classes) {
    return Misfit("model.softmax", dataset,
                  "softmax predicts classes; use `linear` or `mlp`, or set dataset.task: classification");
  }
  if (model.kind_case() == v1::ModelSpec::kSvm && !classes) {
    return Misfit("model.svm", dataset,
                  "a support vector machine predicts classes; use `linear` or `mlp`, or set dataset.task: "
                  "classification");
  }
  if (model.kind_case() == v1::ModelSpec::kMlp && !classes && !numbers) {
    return Misfit("model.mlp", dataset, "without a label use `autoencoder`, or name one in dataset.label");
  }
  return absl::OkStatus();
}

// A language model takes what it is told of text from the spec, and its length and vocabulary must go with
// the data's.
absl::Status FitLanguageModel(const v1::Dataset& dataset, v1::JobSpec* spec) {
  // Once more: now the task is known, so that its defaults and checks apply.
  RETURN_IF_ERROR(CompleteSpec(spec));
  const bool text = dataset.format() == v1::DATASET_FORMAT_TEXT;
  v1::TokenizerSpec* tokenizer = spec->mutable_dataset()->mutable_text()->mutable_tokenizer();
  if (text && dataset.tokenizer_files().empty() && !tokenizer->has_bpe()) tokenizer->mutable_char_();
  if (!text && dataset.tokenizer_files().empty() &&
      tokenizer->kind_case() != v1::TokenizerSpec::KIND_NOT_SET) {
    return absl::InvalidArgumentError(absl::StrCat("dataset.text.tokenizer: dataset '", dataset.name(),
                                                   "' holds tokens already, so that none is fitted; name the "
                                                   "one it was written with by bpe.path, or none"));
  }
  const int32_t vocabulary = FixedVocabulary(spec->model());
  if (!text && vocabulary > 0 && dataset.columns_size() > 0 && dataset.columns(0).maximum() >= vocabulary) {
    RETURN_IF_ERROR(Annotate(CheckTokenFiles(dataset, vocabulary, "the model's vocabulary"), "model"));
    return absl::InvalidArgumentError(
        absl::StrCat("model: dataset '", dataset.name(), "' holds the token ", dataset.columns(0).maximum(),
                     ", but the model's vocabulary is ", vocabulary, "; leave it out, or raise it"));
  }
  RETURN_IF_ERROR(CheckWindows(dataset, *spec));
  if (!spec->has_train()) return absl::OkStatus();
  if (spec->train().loss() == v1::LOSS_UNSPECIFIED) spec->mutable_train()->set_loss(v1::LOSS_CROSS_ENTROPY);
  if (spec->train().loss() == v1::LOSS_CROSS_ENTROPY) return absl::OkStatus();
  return Misfit("train.loss", dataset, "use cross_entropy");
}

absl::Status CheckMetric(const v1::Dataset& dataset, v1::Task task, const std::string& field,
                         const std::string& metric) {
  using Names = std::vector<std::string>;
  const Names known = task == v1::TASK_CLASSIFICATION
                          ? Names{"validation/loss", "validation/accuracy", "validation/f1",
                                  "validation/precision", "validation/recall"}
                      : task == v1::TASK_REGRESSION
                          ? Names{"validation/loss", "validation/rmse", "validation/mae", "validation/r2"}
                          : Names{"validation/loss", "validation/mse", "validation/rmse", "validation/mae"};
  if (std::find(known.begin(), known.end(), metric) != known.end()) return absl::OkStatus();
  return Misfit(field, dataset, absl::StrCat("it has no ", metric, "; use ", absl::StrJoin(known, ", ")));
}

absl::Status CompleteLoss(const v1::Dataset& dataset, v1::Task task, v1::TrainSpec* train) {
  const bool squared = task == v1::TASK_REGRESSION || task == v1::TASK_RECONSTRUCTION;
  if (train->loss() == v1::LOSS_UNSPECIFIED) {
    train->set_loss(squared ? v1::LOSS_MEAN_SQUARED_ERROR : v1::LOSS_CROSS_ENTROPY);
  }
  if (squared != (train->loss() == v1::LOSS_MEAN_SQUARED_ERROR)) {
    return Misfit("train.loss", dataset, squared ? "use mean_squared_error" : "use cross_entropy");
  }
  if (train->loss() == v1::LOSS_HINGE && task != v1::TASK_CLASSIFICATION) {
    return Misfit("train.loss", dataset, "hinge is for classes; use cross_entropy");
  }
  if (train->label_smoothing() > 0 && train->loss() != v1::LOSS_CROSS_ENTROPY) {
    return Misfit("train.label_smoothing", dataset, "it is for cross_entropy; leave it out");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FitSpecToDataset(const v1::Dataset& dataset, v1::JobSpec* spec) {
  if (dataset.task() == v1::TASK_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.task: dataset '", dataset.name(),
                     "' does not tell whether it is a regression or a classification "
                     "task; set dataset.label, or dataset.task"));
  }
  const v1::Task wanted = spec->dataset().task();
  // Any table can be reconstructed; its label is left out.
  const bool reconstruction = wanted == v1::TASK_RECONSTRUCTION && dataset.task() != v1::TASK_LANGUAGE_MODEL;
  if (wanted != v1::TASK_UNSPECIFIED && wanted != dataset.task() && !reconstruction) {
    return Misfit("dataset.task", dataset,
                  absl::StrCat("the spec (or its model) asks for ", EnumText(*v1::Task_descriptor(), wanted),
                               "; take another model, or register the file anew by its path"));
  }
  const v1::Task task = reconstruction ? v1::TASK_RECONSTRUCTION : dataset.task();
  spec->mutable_dataset()->set_task(task);
  if (task == v1::TASK_LANGUAGE_MODEL) return FitLanguageModel(dataset, spec);
  RETURN_IF_ERROR(CheckModel(dataset, task, spec->model()));
  RETURN_IF_ERROR(CompleteInputShape(dataset, spec->mutable_model()));
  RETURN_IF_ERROR(CompleteSequenceLength(dataset, spec->mutable_model()));
  if (!spec->has_train()) return absl::OkStatus();
  v1::TrainSpec* train = spec->mutable_train();
  RETURN_IF_ERROR(CompleteLoss(dataset, task, train));
  if (train->has_early_stopping()) {
    RETURN_IF_ERROR(
        CheckMetric(dataset, task, "train.early_stopping.metric", train->early_stopping().metric()));
  }
  if (!train->schedule().has_plateau()) return absl::OkStatus();
  return CheckMetric(dataset, task, "train.schedule.plateau.metric", train->schedule().plateau().metric());
}

}  // namespace lockstep
