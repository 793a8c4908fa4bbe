// Defaults and ranges of the models.
#include "absl/strings/str_cat.h"
#include "common/spec/checks.h"
#include "common/spec/complete_sequence_model.h"
#include "common/spec/limits.h"

namespace lockstep::spec {
namespace {

template <typename Widths>
absl::Status CheckWidths(absl::string_view field, const Widths& hidden) {
  for (int i = 0; i < hidden.size(); ++i) {
    RETURN_IF_ERROR(InRange(absl::StrCat(field, "[", i, "]"), hidden.Get(i), 1, kWidest));
  }
  return absl::OkStatus();
}

absl::Status CompleteMlp(v1::MlpSpec* mlp) {
  if (mlp->hidden().empty()) {
    return Invalid(
        "model.mlp.hidden",
        "expected at least one width, for example [128, 64]; without a hidden layer use model: softmax "
        "or linear");
  }
  RETURN_IF_ERROR(CheckWidths("model.mlp.hidden", mlp->hidden()));
  if (mlp->activation() == v1::ACTIVATION_UNSPECIFIED) mlp->set_activation(v1::ACTIVATION_RELU);
  if (!mlp->has_dropout()) mlp->set_dropout(0);
  return Fraction("model.mlp.dropout", mlp->dropout());
}

absl::Status CompleteAutoencoder(v1::AutoencoderSpec* autoencoder) {
  if (autoencoder->hidden().empty()) {
    return Invalid("model.autoencoder.hidden",
                   "expected at least one width, for example [64, 16]: the last is the code's");
  }
  RETURN_IF_ERROR(CheckWidths("model.autoencoder.hidden", autoencoder->hidden()));
  if (autoencoder->activation() == v1::ACTIVATION_UNSPECIFIED) {
    autoencoder->set_activation(v1::ACTIVATION_RELU);
  }
  if (!autoencoder->has_dropout()) autoencoder->set_dropout(0);
  return Fraction("model.autoencoder.dropout", autoencoder->dropout());
}

}  // namespace

absl::Status CompleteModel(v1::ModelSpec* model) {
  switch (model->kind_case()) {
    case v1::ModelSpec::KIND_NOT_SET:
      return Invalid(
          "model",
          "missing; expected one of linear, softmax, mlp, svm, cnn, resnet, lstm, gru, gpt, llama, "
          "autoencoder, graph, for example model: { mlp: { hidden: [128] } }");
    case v1::ModelSpec::kMlp:
      return CompleteMlp(model->mutable_mlp());
    case v1::ModelSpec::kAutoencoder:
      return CompleteAutoencoder(model->mutable_autoencoder());
    case v1::ModelSpec::kCnn:
      return CompleteCnn(model->mutable_cnn());
    case v1::ModelSpec::kResnet:
      return CompleteResNet(model->mutable_resnet());
    case v1::ModelSpec::kGpt:
      return CompleteGpt(model->mutable_gpt());
    case v1::ModelSpec::kLlama:
      return CompleteLlama(model->mutable_llama());
    case v1::ModelSpec::kLstm:
      return CompleteRecurrent("model.lstm", model->mutable_lstm());
    case v1::ModelSpec::kGru:
      return CompleteRecurrent("model.gru", model->mutable_gru());
    case v1::ModelSpec::kGraph:
      return CompleteGraph(model->mutable_graph());
    default:
      return absl::OkStatus();
  }
}

}  // namespace lockstep::spec
