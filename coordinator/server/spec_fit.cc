#include "coordinator/server/spec_fit.h"

#include <string>

#include "common/data/language_data.h"
#include "common/spec/spec.h"
#include "common/spec/text_names.h"
#include "common/spec/text_spec.h"

namespace lockstep {
namespace {

std::string Describe(const v1::Dataset& dataset) {
  const std::string name = absl::StrCat("dataset '", dataset.name(), "'");
  if (dataset.task() == v1::TASK_LANGUAGE_MODEL) return absl::StrCat(name, " is for language models");
  if (dataset.task() == v1::TASK_REGRESSION) {
    return absl::StrCat(name, dataset.label().empty() ? "" : absl::StrCat(" (label '", dataset.label(), "')"),
                        " is a regression task");
  }
  return absl::StrCat(name, dataset.label().empty() ? "" : absl::StrCat(" (label '", dataset.label(), "')"),
                      " is a classification task with ", dataset.classes_size(), " classes");
}

absl::Status Misfit(const std::string& field, const v1::Dataset& dataset, const std::string& advice) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", Describe(dataset), "; ", advice));
}

absl::Status CheckModel(const v1::Dataset& dataset, const v1::ModelSpec& model) {
  const bool regression = dataset.task() == v1::TASK_REGRESSION;
  if (model.kind_case() == v1::ModelSpec::kLinear && !regression) {
    return Misfit(
        "model.linear", dataset,
        "linear regression predicts numbers; use `softmax` or `mlp`, or set dataset.task: regression");
  }
  if (model.kind_case() == v1::ModelSpec::kSoftmax && regression) {
    return Misfit("model.softmax", dataset,
                  "softmax predicts classes; use `linear` or `mlp`, or set dataset.task: classification");
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

absl::Status CheckMetric(const v1::Dataset& dataset, const std::string& metric) {
  const bool regression = dataset.task() == v1::TASK_REGRESSION;
  for (const char* name :
       {"validation/accuracy", "validation/precision", "validation/recall", "validation/f1"}) {
    if (metric == name && regression) {
      return Misfit("train.early_stopping.metric", dataset,
                    absl::StrCat("it has no ", metric, "; use validation/loss, /rmse, /mae or /r2"));
    }
  }
  for (const char* name : {"validation/rmse", "validation/mae", "validation/r2"}) {
    if (metric == name && !regression) {
      return Misfit("train.early_stopping.metric", dataset,
                    absl::StrCat("it has no ", metric, "; use validation/loss, /accuracy or /f1"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FitSpecToDataset(const v1::Dataset& dataset, v1::JobSpec* spec) {
  const bool regression = dataset.task() == v1::TASK_REGRESSION;
  if (dataset.task() == v1::TASK_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.task: dataset '", dataset.name(),
                     "' does not tell whether it is a regression or a classification "
                     "task; set dataset.label, or dataset.task"));
  }
  const v1::Task wanted = spec->dataset().task();
  if (wanted != v1::TASK_UNSPECIFIED && wanted != dataset.task()) {
    return Misfit("dataset.task", dataset,
                  absl::StrCat("the spec (or its model) asks for ", EnumText(*v1::Task_descriptor(), wanted),
                               "; take another model, or register the file anew by its path"));
  }
  spec->mutable_dataset()->set_task(dataset.task());
  if (dataset.task() == v1::TASK_LANGUAGE_MODEL) return FitLanguageModel(dataset, spec);
  RETURN_IF_ERROR(CheckModel(dataset, spec->model()));
  if (!spec->has_train()) return absl::OkStatus();
  v1::TrainSpec* train = spec->mutable_train();
  const v1::Loss fitting = regression ? v1::LOSS_MEAN_SQUARED_ERROR : v1::LOSS_CROSS_ENTROPY;
  if (train->loss() == v1::LOSS_UNSPECIFIED) train->set_loss(fitting);
  if (train->loss() != fitting) {
    return Misfit("train.loss", dataset, regression ? "use mean_squared_error" : "use cross_entropy");
  }
  if (train->has_early_stopping()) return CheckMetric(dataset, train->early_stopping().metric());
  return absl::OkStatus();
}

}  // namespace lockstep
