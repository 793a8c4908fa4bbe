// The task: dataset.task, the model, the loss and the watched metrics each allow some; one must be left.
#include <bit>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec/checks.h"
#include "common/spec/text_spec.h"

namespace lockstep::spec {
namespace {

using Tasks = unsigned;  // a set: bit n is v1::Task n
constexpr Tasks kClassification = 1u << v1::TASK_CLASSIFICATION;
constexpr Tasks kRegression = 1u << v1::TASK_REGRESSION;
constexpr Tasks kLanguageModel = 1u << v1::TASK_LANGUAGE_MODEL;
constexpr Tasks kReconstruction = 1u << v1::TASK_RECONSTRUCTION;
constexpr Tasks kAll = kClassification | kRegression | kLanguageModel | kReconstruction;

std::string Names(Tasks tasks) {
  std::vector<std::string> names;
  if (tasks & kClassification) names.push_back("classification");
  if (tasks & kRegression) names.push_back("regression");
  if (tasks & kLanguageModel) names.push_back("language models");
  if (tasks & kReconstruction) names.push_back("reconstruction");
  return absl::StrJoin(names, " or ");
}

struct ModelTasks {
  const char* name;
  Tasks tasks;
};

ModelTasks TasksOf(const v1::ModelSpec& model) {
  switch (model.kind_case()) {
    case v1::ModelSpec::kLinear:
      return {"model.linear", kRegression};
    case v1::ModelSpec::kSoftmax:
      return {"model.softmax", kClassification};
    case v1::ModelSpec::kSvm:
      return {"model.svm", kClassification};
    case v1::ModelSpec::kMlp:
      return {"model.mlp", kClassification | kRegression};
    case v1::ModelSpec::kCnn:
      return {"model.cnn", kClassification | kRegression};
    case v1::ModelSpec::kResnet:
      return {"model.resnet", kClassification | kRegression};
    case v1::ModelSpec::kGpt:
      return {"model.gpt", kLanguageModel};
    case v1::ModelSpec::kLlama:
      return {"model.llama", kLanguageModel};
    case v1::ModelSpec::kAutoencoder:
      return {"model.autoencoder", kReconstruction};
    case v1::ModelSpec::kLstm:
      return {"model.lstm", kClassification | kRegression | kLanguageModel};
    case v1::ModelSpec::kGru:
      return {"model.gru", kClassification | kRegression | kLanguageModel};
    case v1::ModelSpec::kGraph:
      if (ReadsTokens(model.graph())) return {"model.graph with an embedding", kLanguageModel};
      return {"model.graph without an embedding", kClassification | kRegression | kReconstruction};
    case v1::ModelSpec::KIND_NOT_SET:
      break;
  }
  return {"model", kAll};
}

Tasks TasksOfMetric(const std::string& metric) {
  if (metric == "validation/accuracy") return kClassification | kLanguageModel;
  if (metric == "validation/f1") return kClassification;
  if (metric == "validation/r2") return kRegression;
  if (metric == "validation/perplexity") return kLanguageModel;
  if (metric == "validation/mse") return kReconstruction;
  if (metric == "validation/rmse" || metric == "validation/mae") return kRegression | kReconstruction;
  return kAll;
}

class TaskCheck {
 public:
  // Only `tasks` fit `reason`.
  absl::Status Demand(Tasks tasks, std::string reason) {
    if ((left_ & tasks) == 0) {
      return Invalid(reason,
                     absl::StrCat("is for ", Names(tasks), ", but ", because_, " is for ", Names(left_)));
    }
    if ((left_ & tasks) != left_) because_ = std::move(reason);
    left_ &= tasks;
    return absl::OkStatus();
  }
  Tasks left() const { return left_; }

 private:
  Tasks left_ = kAll;
  std::string because_;
};

}  // namespace

absl::Status CompleteTask(v1::JobSpec* spec) {
  TaskCheck check;
  if (spec->dataset().task() != v1::TASK_UNSPECIFIED) {
    RETURN_IF_ERROR(check.Demand(1u << spec->dataset().task(), "dataset.task"));
  }
  const ModelTasks model = TasksOf(spec->model());
  RETURN_IF_ERROR(check.Demand(model.tasks, model.name));
  v1::TrainSpec* train = spec->mutable_train();
  if (spec->model().has_svm()) {
    if (train->loss() == v1::LOSS_UNSPECIFIED) train->set_loss(v1::LOSS_HINGE);
    if (train->loss() != v1::LOSS_HINGE) {
      return Invalid("train.loss",
                     "model.svm is trained with the hinge loss; for cross_entropy use model: softmax");
    }
  }
  if (train->loss() == v1::LOSS_CROSS_ENTROPY) {
    RETURN_IF_ERROR(check.Demand(kClassification | kLanguageModel, "train.loss cross_entropy"));
  }
  if (train->loss() == v1::LOSS_MEAN_SQUARED_ERROR) {
    RETURN_IF_ERROR(check.Demand(kRegression | kReconstruction, "train.loss mean_squared_error"));
  }
  if (train->loss() == v1::LOSS_HINGE) RETURN_IF_ERROR(check.Demand(kClassification, "train.loss hinge"));
  if (train->label_smoothing() > 0) {
    if (train->loss() == v1::LOSS_HINGE) {
      return Invalid("train.label_smoothing", "is for train.loss cross_entropy, but the loss is hinge");
    }
    RETURN_IF_ERROR(check.Demand(kClassification | kLanguageModel, "train.label_smoothing"));
  }
  if (train->has_early_stopping()) {
    const std::string& metric = train->early_stopping().metric();
    RETURN_IF_ERROR(
        check.Demand(TasksOfMetric(metric), absl::StrCat("train.early_stopping.metric ", metric)));
  }
  if (train->schedule().has_plateau()) {
    const std::string& metric = train->schedule().plateau().metric();
    RETURN_IF_ERROR(
        check.Demand(TasksOfMetric(metric), absl::StrCat("train.schedule.plateau.metric ", metric)));
  }
  // Reconstruction is never inferred from a label, so that an autoencoder's dataset must be told.
  if (check.left() == kReconstruction) spec->mutable_dataset()->set_task(v1::TASK_RECONSTRUCTION);
  // That a file is text is not seen of every file: the model says it.
  if (check.left() == kLanguageModel) spec->mutable_dataset()->set_task(v1::TASK_LANGUAGE_MODEL);
  if (spec->dataset().has_text()) {
    RETURN_IF_ERROR(check.Demand(kLanguageModel, "dataset.text"));
    spec->mutable_dataset()->set_task(v1::TASK_LANGUAGE_MODEL);
  }
  if (spec->dataset().task() == v1::TASK_LANGUAGE_MODEL) return CompleteText(spec);
  return absl::OkStatus();
}

}  // namespace lockstep::spec
