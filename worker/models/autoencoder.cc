#include "worker/models/autoencoder.h"

#include "absl/strings/str_cat.h"
#include "worker/engine/dropout.h"
#include "worker/engine/linear.h"

namespace lockstep::engine {

using kernels::Activation;

absl::StatusOr<Activation> ActivationOf(const char* field, v1::Activation activation) {
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
    case v1::ACTIVATION_SILU:
      return Activation::kSilu;
    default:
      return absl::InvalidArgumentError(absl::StrCat(field, ": unknown value ", activation,
                                                     ", expected relu, tanh, sigmoid, gelu or silu"));
  }
}

absl::StatusOr<std::shared_ptr<const Model>> BuildAutoencoder(const v1::AutoencoderSpec& spec, int features) {
  ASSIGN_OR_RETURN(const Activation activation,
                   ActivationOf("model.autoencoder.activation", spec.activation()));
  const int layers = spec.hidden_size();
  if (layers == 0) {
    return absl::InvalidArgumentError("model.autoencoder.hidden: expected at least one width, the code's");
  }
  if (!(spec.dropout() >= 0.0 && spec.dropout() < 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.autoencoder.dropout: expected 0 <= p < 1, got ", spec.dropout()));
  }
  GraphBuilder builder({features});
  int value = builder.input();
  for (int i = 0; i < layers; ++i) {
    if (spec.hidden(i) < 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model.autoencoder.hidden[", i, "]: expected a width of at least 1, got ", spec.hidden(i)));
    }
    const bool code = i + 1 == layers;
    value = AppendLinear(builder, absl::StrCat("encoder.", i), value, spec.hidden(i),
                         code ? Activation::kIdentity : activation);
    if (!code && spec.dropout() > 0) {
      value = AppendDropout(builder, absl::StrCat("dropout.", i), value, spec.dropout());
    }
  }
  for (int i = 0; i < layers; ++i) {
    const bool last = i + 1 == layers;
    value = AppendLinear(builder, absl::StrCat("decoder.", i), value,
                         last ? features : spec.hidden(layers - 2 - i),
                         last ? Activation::kIdentity : activation);
  }
  return std::move(builder).Build(value, v1::LOSS_MEAN_SQUARED_ERROR);
}

}  // namespace lockstep::engine
