#include "common/spec/complete_layer.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/spec/checks.h"
#include "common/spec/limits.h"

namespace lockstep::spec {
namespace {

constexpr int kLargestKernel = 15;  // kernels/convolution.h, kernels/pool.h
constexpr size_t kLongestName = 128;

template <typename Layer>
void DefaultTo(Layer* layer, bool present, void (Layer::*set)(int32_t), int32_t value) {
  if (!present) (layer->*set)(value);
}

absl::Status CheckInitializer(const std::string& field, const v1::InitializerSpec& initializer) {
  switch (initializer.kind_case()) {
    case v1::InitializerSpec::kNormal:
      return Positive(field + ".normal", initializer.normal());
    case v1::InitializerSpec::kUniform:
      return Positive(field + ".uniform", initializer.uniform());
    case v1::InitializerSpec::kConstant:
      if (std::isfinite(initializer.constant())) return absl::OkStatus();
      return Invalid(field + ".constant", "expected a finite number");
    case v1::InitializerSpec::KIND_NOT_SET:
      return Invalid(field, "expected one of normal, uniform and constant, for example { normal: 0.02 }");
  }
  return absl::OkStatus();
}

template <typename Operation>
absl::Status CheckInitializerOf(const std::string& field, const Operation& operation) {
  if (!operation.has_initializer()) return absl::OkStatus();
  return CheckInitializer(field + ".initializer", operation.initializer());
}

absl::Status CompleteConvolution(const std::string& field, v1::ConvolutionLayer* conv) {
  if (!conv->has_channels()) return Missing(field + ".channels", "channels: 32");
  DefaultTo(conv, conv->has_kernel(), &v1::ConvolutionLayer::set_kernel, 3);
  DefaultTo(conv, conv->has_stride(), &v1::ConvolutionLayer::set_stride, 1);
  DefaultTo(conv, conv->has_padding(), &v1::ConvolutionLayer::set_padding, 0);
  DefaultTo(conv, conv->has_groups(), &v1::ConvolutionLayer::set_groups, 1);
  if (!conv->has_bias()) conv->set_bias(true);
  RETURN_IF_ERROR(InRange(field + ".channels", conv->channels(), 1, kWidest));
  RETURN_IF_ERROR(InRange(field + ".kernel", conv->kernel(), 1, kLargestKernel));
  RETURN_IF_ERROR(InRange(field + ".stride", conv->stride(), 1, kLongestSide));
  RETURN_IF_ERROR(InRange(field + ".padding", conv->padding(), 0, kLargestKernel));
  RETURN_IF_ERROR(InRange(field + ".groups", conv->groups(), 1, kWidest));
  if (conv->channels() % conv->groups() == 0) return CheckInitializerOf(field, *conv);
  return Invalid(field + ".groups", absl::StrCat("expected a divisor of channels (", conv->channels(),
                                                 "), got ", conv->groups()));
}

absl::Status CompletePool(const std::string& field, v1::PoolLayer* pool) {
  DefaultTo(pool, pool->has_kernel(), &v1::PoolLayer::set_kernel, 2);
  RETURN_IF_ERROR(InRange(field + ".kernel", pool->kernel(), 1, kLargestKernel));
  DefaultTo(pool, pool->has_stride(), &v1::PoolLayer::set_stride, pool->kernel());
  DefaultTo(pool, pool->has_padding(), &v1::PoolLayer::set_padding, 0);
  RETURN_IF_ERROR(InRange(field + ".stride", pool->stride(), 1, kLongestSide));
  if (pool->padding() >= 0 && 2 * pool->padding() <= pool->kernel()) return absl::OkStatus();
  return Invalid(field + ".padding",
                 absl::StrCat("expected 0 to half the kernel (", pool->kernel() / 2, "), got ",
                              pool->padding(), "; a window must not lie in the padding alone"));
}

absl::Status CompleteBatchNorm(const std::string& field, v1::BatchNormLayer* norm) {
  if (!norm->has_epsilon()) norm->set_epsilon(1e-5);
  if (!norm->has_momentum()) norm->set_momentum(0.1);
  RETURN_IF_ERROR(Positive(field + ".epsilon", norm->epsilon()));
  return ZeroToOne(field + ".momentum", norm->momentum());
}

absl::Status CompleteNorm(const std::string& field, bool centred, v1::NormLayer* norm) {
  if (!norm->has_epsilon()) norm->set_epsilon(1e-5);
  if (!centred && norm->has_bias()) return Invalid(field + ".bias", "an rms_norm has none; leave it out");
  if (centred && !norm->has_bias()) norm->set_bias(true);
  return Positive(field + ".epsilon", norm->epsilon());
}

absl::Status CompleteLinear(const std::string& field, v1::LinearLayer* linear) {
  if (!linear->tied().empty()) {
    if (linear->has_width() || linear->bias() || linear->has_initializer() ||
        linear->activation() != v1::ACTIVATION_UNSPECIFIED) {
      return Invalid(field + ".tied", absl::StrCat("the weight is the table of '", linear->tied(),
                                                   "', so that it has no width, bias, activation or "
                                                   "initializer of its own; leave them out"));
    }
    linear->set_bias(false);
  }
  if (!linear->has_bias()) linear->set_bias(true);
  if (linear->has_width()) RETURN_IF_ERROR(InRange(field + ".width", linear->width(), 1, kLargestVocabulary));
  return CheckInitializerOf(field, *linear);
}

absl::Status CompleteEmbedding(const std::string& field, v1::EmbeddingLayer* embedding) {
  if (!embedding->has_width()) return Missing(field + ".width", "width: 128");
  RETURN_IF_ERROR(InRange(field + ".width", embedding->width(), 1, kWidest));
  if (embedding->has_vocabulary()) {
    RETURN_IF_ERROR(InRange(field + ".vocabulary", embedding->vocabulary(), 2, kLargestVocabulary));
  }
  if (embedding->has_positions()) {
    RETURN_IF_ERROR(InRange(field + ".positions", embedding->positions(), 1, kLongest));
  }
  return CheckInitializerOf(field, *embedding);
}

absl::Status CompleteAttention(const std::string& field, v1::AttentionLayer* attention) {
  if (!attention->has_heads()) return Missing(field + ".heads", "heads: 4");
  RETURN_IF_ERROR(InRange(field + ".heads", attention->heads(), 1, kWidest));
  if (!attention->has_key_value_heads()) attention->set_key_value_heads(attention->heads());
  const int groups = attention->key_value_heads();
  if (groups < 1 || attention->heads() % groups != 0) {
    return Invalid(field + ".key_value_heads",
                   absl::StrCat("expected a divisor of heads (", attention->heads(), "), got ", groups));
  }
  if (!attention->has_causal()) attention->set_causal(false);
  if (!attention->has_projections()) attention->set_projections(true);
  if (attention->has_rope_theta()) RETURN_IF_ERROR(Positive(field + ".rope_theta", attention->rope_theta()));
  if (attention->projections()) {
    if (!attention->has_bias()) attention->set_bias(true);
    return CheckInitializerOf(field, *attention);
  }
  if (!attention->has_bias() && !attention->has_initializer()) return absl::OkStatus();
  return Invalid(field + (attention->has_bias() ? ".bias" : ".initializer"),
                 "is of the projections, of which there are none (projections: false); leave it out");
}

absl::Status CheckReshape(const std::string& field, const v1::ReshapeLayer& reshape) {
  if (reshape.shape().empty()) return Missing(field + ".shape", "shape: [8, 8, 1]");
  int inferred = 0;
  for (const int64_t extent : reshape.shape()) {
    if (extent == -1 && ++inferred == 1) continue;
    if (extent < 1 || extent > (int64_t{1} << 31)) {
      return Invalid(field + ".shape",
                     absl::StrCat("expected positive numbers and at most one -1, got ", extent));
    }
  }
  if (reshape.shape_size() <= kMostAxes) return absl::OkStatus();
  return Invalid(field + ".shape",
                 absl::StrCat("expected at most ", kMostAxes, " numbers, got ", reshape.shape_size()));
}

absl::Status CheckTranspose(const std::string& field, const v1::TransposeLayer& transpose) {
  std::vector<int> sorted(transpose.axes().begin(), transpose.axes().end());
  std::sort(sorted.begin(), sorted.end());
  bool permutation = !sorted.empty() && sorted.size() <= kMostAxes;
  for (size_t i = 0; i < sorted.size(); ++i) permutation &= sorted[i] == static_cast<int>(i);
  if (permutation) return absl::OkStatus();
  return Invalid(field + ".axes",
                 absl::StrCat("expected the axes 0 to n - 1 in their new order, n at most ", kMostAxes,
                              ", for example axes: [1, 0]; the batch is not counted"));
}

absl::Status CompleteRope(const std::string& field, v1::RopeLayer* rope) {
  if (!rope->has_heads()) return Missing(field + ".heads", "heads: 4");
  if (!rope->has_theta()) rope->set_theta(10000);
  RETURN_IF_ERROR(InRange(field + ".heads", rope->heads(), 1, kWidest));
  return Positive(field + ".theta", rope->theta());
}

absl::Status CheckRecurrent(const std::string& field, const v1::RecurrentLayer& recurrent) {
  if (!recurrent.has_hidden()) return Missing(field + ".hidden", "hidden: 128");
  return InRange(field + ".hidden", recurrent.hidden(), 1, kWidest);
}

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kLongestName && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
}

absl::Status CompleteOperation(const std::string& field, v1::Layer* layer) {
  switch (layer->operation_case()) {
    case v1::Layer::kConv:
      return CompleteConvolution(field, layer->mutable_conv());
    case v1::Layer::kMaxPool:
      return CompletePool(field, layer->mutable_max_pool());
    case v1::Layer::kAveragePool:
      return CompletePool(field, layer->mutable_average_pool());
    case v1::Layer::kBatchNorm:
      return CompleteBatchNorm(field, layer->mutable_batch_norm());
    case v1::Layer::kLayerNorm:
      return CompleteNorm(field, true, layer->mutable_layer_norm());
    case v1::Layer::kRmsNorm:
      return CompleteNorm(field, false, layer->mutable_rms_norm());
    case v1::Layer::kLinear:
      return CompleteLinear(field, layer->mutable_linear());
    case v1::Layer::kEmbedding:
      return CompleteEmbedding(field, layer->mutable_embedding());
    case v1::Layer::kAttention:
      return CompleteAttention(field, layer->mutable_attention());
    case v1::Layer::kRope:
      return CompleteRope(field, layer->mutable_rope());
    case v1::Layer::kLstm:
      return CheckRecurrent(field, layer->lstm());
    case v1::Layer::kGru:
      return CheckRecurrent(field, layer->gru());
    case v1::Layer::kConcat:
      if (!layer->concat().has_axis()) layer->mutable_concat()->set_axis(-1);
      return InRange(field + ".axis", layer->concat().axis(), -kMostAxes, kMostAxes - 1);
    case v1::Layer::kReshape:
      return CheckReshape(field, layer->reshape());
    case v1::Layer::kTranspose:
      return CheckTranspose(field, layer->transpose());
    case v1::Layer::kDropout:
      if (!layer->dropout().has_probability()) return Missing(field + ".probability", "probability: 0.5");
      return Fraction(field + ".probability", layer->dropout().probability());
    case v1::Layer::kActivation:
      if (layer->activation() != v1::ACTIVATION_UNSPECIFIED) return absl::OkStatus();
      return Invalid(field, "expected relu, tanh, sigmoid, gelu or silu");
    case v1::Layer::kGlobalAveragePool:
    case v1::Layer::kAdd:
    case v1::Layer::kFlatten:
    case v1::Layer::kLast:
    case v1::Layer::kSwiglu:
    case v1::Layer::OPERATION_NOT_SET:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace

std::string LayerField(const std::string& list, int index) { return absl::StrCat(list, "[", index, "]"); }

std::string LayerPlace(const std::string& list, int index, const v1::Layer& layer) {
  return absl::StrCat(LayerField(list, index), " (", layer.name(), ")");
}

const std::string& OperationOf(const v1::Layer& layer) {
  return v1::Layer::descriptor()->FindFieldByNumber(layer.operation_case())->name();
}

absl::Status Missing(const std::string& field, absl::string_view example) {
  return Invalid(field, absl::StrCat("missing; expected for example ", example));
}

absl::Status NameLayers(const std::string& list, google::protobuf::RepeatedPtrField<v1::Layer>* layers) {
  std::map<std::string, int> seen;
  for (int i = 0; i < layers->size(); ++i) {
    v1::Layer& layer = *layers->Mutable(i);
    const std::string field = LayerField(list, i);
    if (layer.operation_case() == v1::Layer::OPERATION_NOT_SET) {
      return Invalid(layer.name().empty() ? field : LayerPlace(list, i, layer),
                     "expected an operation, for example conv: { channels: 32 }, got none");
    }
    if (layer.name().empty()) layer.set_name(absl::StrCat(OperationOf(layer), ".", i));
    if (!IsName(layer.name())) {
      return Invalid(field + ".name",
                     absl::StrCat("expected 1 to ", kLongestName, " letters, digits, '.', '_' and '-', got '",
                                  layer.name().substr(0, kLongestName), "'"));
    }
    const auto [first, is_new] = seen.emplace(layer.name(), i);
    if (!is_new) {
      return Invalid(field + ".name", absl::StrCat("expected a name of its own, got '", layer.name(),
                                                   "', which is that of layers[", first->second, "]"));
    }
  }
  return absl::OkStatus();
}

absl::Status CompleteLayer(const std::string& list, int index, v1::Layer* layer) {
  const absl::Status status =
      CompleteOperation(absl::StrCat(LayerField(list, index), ".", OperationOf(*layer)), layer);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(status.message(), " (layer '", layer->name(), "')"));
}

}  // namespace lockstep::spec
