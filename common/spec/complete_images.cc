// Defaults and ranges of the models of images, and of the layers that lists of layers are made of.
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/spec/checks.h"
#include "common/spec/image_spec.h"

namespace lockstep::spec {
namespace {

constexpr int kWidest = 65536;
constexpr int kLargestKernel = 15;  // kernels/convolution.h, kernels/pool.h
constexpr int kLongestSide = 16384;

absl::Status Required(const std::string& field, bool present, absl::string_view example) {
  if (present) return absl::OkStatus();
  return Invalid(field, absl::StrCat("missing; expected for example ", example));
}

template <typename Layer>
void DefaultTo(Layer* layer, bool present, void (Layer::*set)(int32_t), int32_t value) {
  if (!present) (layer->*set)(value);
}

absl::Status CompleteConvolution(const std::string& field, v1::ConvolutionLayer* conv) {
  RETURN_IF_ERROR(Required(field + ".channels", conv->has_channels(), "channels: 32"));
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
  if (conv->channels() % conv->groups() == 0) return absl::OkStatus();
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

absl::Status CompleteLinear(const std::string& field, v1::LinearLayer* linear) {
  RETURN_IF_ERROR(Required(field + ".width", linear->has_width(), "width: 128"));
  if (!linear->has_bias()) linear->set_bias(true);
  return InRange(field + ".width", linear->width(), 1, kWidest);
}

// An operation of a cnn's list.
absl::Status CompleteOperation(const std::string& place, v1::Layer* layer) {
  if (layer->operation_case() == v1::Layer::OPERATION_NOT_SET) {
    return Invalid(place, "expected an operation, for example conv: { channels: 32 }, got none");
  }
  const std::string& kind = v1::Layer::descriptor()->FindFieldByNumber(layer->operation_case())->name();
  const std::string field = absl::StrCat(place, ".", kind);
  switch (layer->operation_case()) {
    case v1::Layer::kConv:
      return CompleteConvolution(field, layer->mutable_conv());
    case v1::Layer::kMaxPool:
      return CompletePool(field, layer->mutable_max_pool());
    case v1::Layer::kAveragePool:
      return CompletePool(field, layer->mutable_average_pool());
    case v1::Layer::kBatchNorm:
      return CompleteBatchNorm(field, layer->mutable_batch_norm());
    case v1::Layer::kLinear:
      return CompleteLinear(field, layer->mutable_linear());
    case v1::Layer::kDropout:
      RETURN_IF_ERROR(
          Required(field + ".probability", layer->dropout().has_probability(), "probability: 0.5"));
      return Fraction(field + ".probability", layer->dropout().probability());
    case v1::Layer::kActivation:
      if (layer->activation() != v1::ACTIVATION_UNSPECIFIED) return absl::OkStatus();
      return Invalid(field, "expected relu, tanh, sigmoid, gelu or silu");
    case v1::Layer::kGlobalAveragePool:
    case v1::Layer::kFlatten:
      return absl::OkStatus();
    default:
      return Invalid(
          field,
          "is not for images in a row; expected conv, max_pool, average_pool, global_average_pool, "
          "batch_norm, activation, dropout, flatten or linear; model: graph takes the others");
  }
}

template <typename Shape>
absl::Status CheckInputShape(const std::string& field, const Shape& shape) {
  if (shape.empty()) return absl::OkStatus();  // the dataset's
  if (shape.size() != 3) {
    return Invalid(field, absl::StrCat("expected [height, width, channels], got ", shape.size(), " numbers"));
  }
  for (int i = 0; i < 3; ++i)
    RETURN_IF_ERROR(InRange(absl::StrCat(field, "[", i, "]"), shape.Get(i), 1, kLongestSide));
  return absl::OkStatus();
}

}  // namespace

absl::Status CompleteCnn(v1::CnnSpec* cnn) {
  RETURN_IF_ERROR(CheckInputShape("model.cnn.input_shape", cnn->input_shape()));
  if (cnn->layers().empty()) {
    return Invalid("model.cnn.layers",
                   "expected at least one layer, for example [ { conv: { channels: 32 } } ]");
  }
  std::set<std::string> names;
  for (int i = 0; i < cnn->layers_size(); ++i) {
    const std::string place = absl::StrCat("model.cnn.layers[", i, "]");
    v1::Layer* layer = cnn->mutable_layers(i);
    RETURN_IF_ERROR(CompleteOperation(place, layer));
    if (!layer->inputs().empty()) {
      return Invalid(place + ".inputs", "a cnn's layer reads the one before it; model: graph takes inputs");
    }
    if (layer->name().empty()) {
      layer->set_name(
          absl::StrCat(v1::Layer::descriptor()->FindFieldByNumber(layer->operation_case())->name(), ".", i));
    }
    if (layer->name() == "output" || !names.insert(layer->name()).second) {
      return Invalid(place + ".name",
                     absl::StrCat("expected a name of its own, got '", layer->name(),
                                  layer->name() == "output" ? "', which is the last layer's" : "'"));
    }
  }
  return absl::OkStatus();
}

absl::Status CompleteResNet(v1::ResNetSpec* resnet) {
  RETURN_IF_ERROR(CheckInputShape("model.resnet.input_shape", resnet->input_shape()));
  if (!resnet->has_depth()) resnet->set_depth(18);
  const int depth = resnet->depth();
  const bool imagenet = depth == 18 || depth == 34 || depth == 50 || depth == 101 || depth == 152;
  if (!imagenet && (depth < 8 || depth > 1202 || depth % 6 != 2)) {
    return Invalid("model.resnet.depth",
                   absl::StrCat("expected 18, 34, 50, 101, 152, or 6n + 2 (20, 32, 44, 56, 110: "
                                "the CIFAR family), got ",
                                depth));
  }
  if (!resnet->has_width()) resnet->set_width(imagenet ? 64 : 16);
  RETURN_IF_ERROR(InRange("model.resnet.width", resnet->width(), 1, 4096));
  if (resnet->stem() == v1::STEM_UNSPECIFIED && !imagenet) resnet->set_stem(v1::STEM_CIFAR);
  if (resnet->stem() == v1::STEM_UNSPECIFIED && !resnet->input_shape().empty()) {
    const bool small = resnet->input_shape(0) < 64 && resnet->input_shape(1) < 64;
    resnet->set_stem(small ? v1::STEM_CIFAR : v1::STEM_IMAGENET);
  }
  return absl::OkStatus();
}

}  // namespace lockstep::spec

namespace lockstep {

absl::Status CompleteInputShape(const v1::Dataset& dataset, v1::ModelSpec* model) {
  const bool cnn = model->has_cnn();
  if (!cnn && !model->has_resnet()) return absl::OkStatus();
  auto* shape =
      cnn ? model->mutable_cnn()->mutable_input_shape() : model->mutable_resnet()->mutable_input_shape();
  const std::string field = cnn ? "model.cnn.input_shape" : "model.resnet.input_shape";
  if (shape->empty()) {
    const v1::Column column = dataset.columns_size() > 0 ? dataset.columns(0) : v1::Column();
    const auto& pixels = column.shape();
    if (dataset.format() != v1::DATASET_FORMAT_IDX || pixels.size() < 2 || pixels.size() > 3) {
      return spec::Invalid(
          field, absl::StrCat("missing, and the rows of dataset '", dataset.name(),
                              "' do not tell; expected [height, width, channels], for example [28, 28, 1]"));
    }
    for (const int32_t extent : pixels) shape->Add(extent);
    if (shape->size() == 2) shape->Add(1);
  }
  return cnn ? spec::CompleteCnn(model->mutable_cnn()) : spec::CompleteResNet(model->mutable_resnet());
}

}  // namespace lockstep
