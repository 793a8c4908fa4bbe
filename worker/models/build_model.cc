// BuildModel: from the spec's model to a graph.

#include <memory>
#include <string>

#include "worker/engine/dropout.h"
#include "worker/engine/engine.h"
#include "worker/engine/linear.h"
#include "worker/models/cnn.h"
#include "worker/models/resnet.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;

absl::StatusOr<Activation> ActivationOf(v1::Activation activation) {
  switch (activation) {
    case v1::ACTIVATION_UNSPECIFIED:
    case v1::ACTIVATION_RELU:
      return Activation::kRelu;
    case v1::ACTIVATION_TANH:
      return Activation::kTanh;
    case v1::ACTIVATION_SIGMOID:
      return Activation::kSigmoid;
    case v1::ACTIVATION_GELU:
      return Activation::kGelu;
    default:
      return absl::InvalidArgumentError(absl::StrCat("model.mlp.activation: unknown value ", activation,
                                                     ", expected relu, tanh, sigmoid or gelu"));
  }
}

absl::StatusOr<std::shared_ptr<const Model>> BuildMlp(const v1::MlpSpec& mlp, int features, int outputs,
                                                      v1::Loss loss) {
  ASSIGN_OR_RETURN(const Activation activation, ActivationOf(mlp.activation()));
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

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> BuildModel(const v1::JobSpec& spec, int features, int outputs,
                                                        v1::Task task) {
  if (features < 1 || outputs < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model: expected at least one feature and one output, got ", features, " and ", outputs));
  }
  if (task != v1::TASK_CLASSIFICATION && task != v1::TASK_REGRESSION) {
    return absl::InvalidArgumentError("model: the dataset's task is neither classification nor regression");
  }
  const bool classification = task == v1::TASK_CLASSIFICATION;
  const v1::Loss loss = classification ? v1::LOSS_CROSS_ENTROPY : v1::LOSS_MEAN_SQUARED_ERROR;
  const v1::Loss wanted = spec.train().loss();
  if (wanted != v1::LOSS_UNSPECIFIED && wanted != loss) {
    return absl::InvalidArgumentError(classification ? "train.loss: mean_squared_error is for regression, "
                                                       "but the label holds classes; leave train.loss "
                                                       "out, or set dataset.task: regression"
                                                     : "train.loss: cross_entropy is for classification, but "
                                                       "the label holds numbers; leave train.loss "
                                                       "out, or set dataset.task: classification");
  }
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
    case v1::ModelSpec::kMlp:
      return BuildMlp(spec.model().mlp(), features, outputs, loss);
    case v1::ModelSpec::kCnn:
      return BuildCnn(spec.model().cnn(), features, outputs, loss);
    case v1::ModelSpec::kResnet:
      return BuildResNet(spec.model().resnet(), features, outputs, loss);
    default:
      break;
  }
  return absl::InvalidArgumentError("model: expected one of linear, softmax, mlp");
}

}  // namespace lockstep::engine
