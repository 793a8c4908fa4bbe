// BuildModel: from the spec's model to a graph.

#include <memory>
#include <string>

#include "worker/engine/dropout.h"
#include "worker/engine/engine.h"
#include "worker/engine/linear.h"
#include "worker/models/autoencoder.h"
#include "worker/models/cnn.h"
#include "worker/models/gpt.h"
#include "worker/models/graph_model.h"
#include "worker/models/llama.h"
#include "worker/models/recurrent.h"
#include "worker/models/resnet.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;

absl::StatusOr<std::shared_ptr<const Model>> BuildMlp(const v1::MlpSpec& mlp, int features, int outputs,
                                                      v1::Loss loss) {
  ASSIGN_OR_RETURN(const Activation activation, ActivationOf("model.mlp.activation", mlp.activation()));
  if (mlp.hidden().empty()) {
    return absl::InvalidArgumentError(
        "model.mlp.hidden: expected at least one width; model.softmax or "
        "model.linear is a model without hidden layers");
  }
  if (!(mlp.dropout() >= 0.0 && mlp.dropout() < 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.mlp.dropout: expected 0 <= p < 1, got ", mlp.dropout()));
  }
  GraphBuilder builder({features});
  int value = builder.input();
  int layer = 0;
  for (const int width : mlp.hidden()) {
    if (width < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("model.mlp.hidden[", layer, "]: expected a width of at least 1, got ", width));
    }
    value = AppendLinear(builder, absl::StrCat("layers.", layer), value, width, activation);
    if (mlp.dropout() > 0) {
      value = AppendDropout(builder, absl::StrCat("dropout.", layer), value, mlp.dropout());
    }
    ++layer;
  }
  value = AppendLinear(builder, absl::StrCat("layers.", layer), value, outputs, Activation::kIdentity);
  return std::move(builder).Build(value, loss);
}

std::shared_ptr<const Model> BuildAffine(int features, int outputs, v1::Loss loss) {
  GraphBuilder builder({features});
  const int value = AppendLinear(builder, "layers.0", builder.input(), outputs, Activation::kIdentity);
  return std::move(builder).Build(value, loss);
}

// The loss that is asked for, or the task's own; a support vector machine's is the hinge loss.
absl::StatusOr<v1::Loss> LossOf(const v1::JobSpec& spec, v1::Task task) {
  const v1::Loss wanted = spec.train().loss();
  const bool svm = spec.model().has_svm();
  if (task != v1::TASK_CLASSIFICATION) {
    if (wanted == v1::LOSS_UNSPECIFIED || wanted == v1::LOSS_MEAN_SQUARED_ERROR)
      return v1::LOSS_MEAN_SQUARED_ERROR;
    return absl::InvalidArgumentError(absl::StrCat(
        "train.loss: ", wanted == v1::LOSS_HINGE ? "hinge" : "cross_entropy",
        " is for classification, but the targets are numbers; leave train.loss out, or set dataset.task: "
        "classification"));
  }
  if (wanted == v1::LOSS_MEAN_SQUARED_ERROR) {
    return absl::InvalidArgumentError(
        "train.loss: mean_squared_error is for regression, but the label holds classes; leave train.loss "
        "out, or set "
        "dataset.task: regression");
  }
  if (svm && wanted == v1::LOSS_CROSS_ENTROPY) {
    return absl::InvalidArgumentError(
        "train.loss: model.svm is trained with the hinge loss; for cross_entropy use model: softmax");
  }
  return svm || wanted == v1::LOSS_HINGE ? v1::LOSS_HINGE : v1::LOSS_CROSS_ENTROPY;
}

absl::StatusOr<std::shared_ptr<const Model>> BuildLanguageModel(const v1::JobSpec& spec, int steps,
                                                                int vocabulary) {
  const v1::Loss wanted = spec.train().loss();
  if (wanted != v1::LOSS_UNSPECIFIED && wanted != v1::LOSS_CROSS_ENTROPY) {
    return absl::InvalidArgumentError(
        "train.loss: a language model learns by cross_entropy; leave train.loss out");
  }
  const v1::ModelSpec& model = spec.model();
  switch (model.kind_case()) {
    case v1::ModelSpec::kGpt:
      return BuildGpt(model.gpt(), steps, vocabulary);
    case v1::ModelSpec::kLlama:
      return BuildLlama(model.llama(), steps, vocabulary);
    case v1::ModelSpec::kLstm:
      return BuildRecurrentLanguageModel(RecurrentKind::kLstm, model.lstm(), steps, vocabulary);
    case v1::ModelSpec::kGru:
      return BuildRecurrentLanguageModel(RecurrentKind::kGru, model.gru(), steps, vocabulary);
    case v1::ModelSpec::kGraph:
      return BuildGraph(model.graph(), {v1::TASK_LANGUAGE_MODEL, v1::LOSS_CROSS_ENTROPY, steps, vocabulary});
    default:
      return absl::InvalidArgumentError(
          "model: this one does not read text, but the dataset is text; expected one of gpt, llama, lstm, "
          "gru, or a graph with an embedding");
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> BuildModel(const v1::JobSpec& spec, int features, int outputs,
                                                        v1::Task task) {
  if (features < 1 || outputs < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model: expected at least one feature and one output, got ", features, " and ", outputs));
  }
  if (task == v1::TASK_LANGUAGE_MODEL) return BuildLanguageModel(spec, features, outputs);
  if (task != v1::TASK_CLASSIFICATION && task != v1::TASK_REGRESSION && task != v1::TASK_RECONSTRUCTION) {
    return absl::InvalidArgumentError(
        "model: the dataset's task is neither classification, regression nor reconstruction");
  }
  ASSIGN_OR_RETURN(const v1::Loss loss, LossOf(spec, task));
  if (spec.model().has_graph()) return BuildGraph(spec.model().graph(), {task, loss, features, outputs});
  const bool autoencoder = spec.model().has_autoencoder();
  if (autoencoder != (task == v1::TASK_RECONSTRUCTION)) {
    return absl::InvalidArgumentError(
        autoencoder ? "model.autoencoder: reproduces its features; leave dataset.task out, "
                      "or set it to reconstruction"
                    : "model: without a label expected autoencoder or graph; name the label in "
                      "dataset.label to train another model");
  }
  const bool classification = task == v1::TASK_CLASSIFICATION;
  switch (spec.model().kind_case()) {
    case v1::ModelSpec::kLinear:
      if (classification) {
        return absl::InvalidArgumentError(
            "model.linear: linear regression needs a numeric label, but the label holds classes; use "
            "model.softmax or model.mlp, or set dataset.task: regression");
      }
      return BuildAffine(features, outputs, loss);
    case v1::ModelSpec::kSoftmax:
      if (!classification) {
        return absl::InvalidArgumentError(
            "model.softmax: softmax regression needs classes, but the label holds numbers; use model.linear "
            "or "
            "model.mlp, or set dataset.task: classification");
      }
      return BuildAffine(features, outputs, loss);
    case v1::ModelSpec::kSvm:
      if (!classification) {
        return absl::InvalidArgumentError(
            "model.svm: a support vector machine needs classes, but the label holds numbers; use "
            "model.linear or "
            "model.mlp, or set dataset.task: classification");
      }
      return BuildAffine(features, outputs, loss);
    case v1::ModelSpec::kAutoencoder:
      return BuildAutoencoder(spec.model().autoencoder(), features);
    case v1::ModelSpec::kMlp:
      return BuildMlp(spec.model().mlp(), features, outputs, loss);
    case v1::ModelSpec::kCnn:
      return BuildCnn(spec.model().cnn(), features, outputs, loss);
    case v1::ModelSpec::kResnet:
      return BuildResNet(spec.model().resnet(), features, outputs, loss);
    case v1::ModelSpec::kLstm:
      return BuildRecurrent(RecurrentKind::kLstm, spec.model().lstm(), features, outputs, loss);
    case v1::ModelSpec::kGru:
      return BuildRecurrent(RecurrentKind::kGru, spec.model().gru(), features, outputs, loss);
    case v1::ModelSpec::kGpt:
    case v1::ModelSpec::kLlama:
      return absl::InvalidArgumentError(
          "model: gpt and llama read text, but the dataset holds rows of numbers; for those use mlp, lstm or "
          "gru");
    default:
      break;
  }
  return absl::InvalidArgumentError(
      "model: expected one of linear, softmax, svm, mlp, autoencoder, cnn, resnet, lstm, gru, gpt, llama, "
      "graph");
}

}  // namespace lockstep::engine
