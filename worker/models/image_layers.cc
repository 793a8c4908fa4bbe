#include "worker/models/image_layers.h"

#include "absl/strings/str_cat.h"
#include "kernels/activation.h"
#include "worker/engine/activation.h"
#include "worker/engine/batch_norm.h"
#include "worker/engine/convolution.h"
#include "worker/engine/dropout.h"
#include "worker/engine/flatten.h"
#include "worker/engine/linear.h"
#include "worker/engine/pool.h"
#include "worker/engine/reshape.h"
#include "worker/models/layer_options.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;

absl::Status Fits(const LayerPlace& place, int64_t kernel, int64_t padding) {
  RETURN_IF_ERROR(place.IsImage());
  const std::vector<int64_t>& shape = place.shape();
  if (shape[0] + 2 * padding >= kernel && shape[1] + 2 * padding >= kernel) return absl::OkStatus();
  return place.Error(absl::StrCat("kernel ", kernel, " does not fit in ", shape[0], "x", shape[1],
                                  padding > 0 ? absl::StrCat(" with padding ", padding) : "",
                                  "; take a smaller kernel, more padding, or fewer strides and pools "
                                  "before it"));
}

absl::StatusOr<int> AppendConv(GraphBuilder& builder, const LayerPlace& place) {
  const v1::ConvolutionLayer& conv = place.layer().conv();
  RETURN_IF_ERROR(Fits(place, conv.kernel(), conv.padding()));
  const int64_t channels = place.shape()[2];
  if (channels % conv.groups() != 0) {
    return place.Error(
        absl::StrCat("groups ", conv.groups(), " does not divide the ", channels, " channels of its input"));
  }
  ConvolutionOptions options;
  options.channels = conv.channels();
  options.kernel = conv.kernel();
  options.stride = conv.stride();
  options.padding = conv.padding();
  options.groups = conv.groups();
  options.activation = LayerActivation(conv.activation());
  options.bias = conv.bias();
  Initializer own;
  options.initializer = InitializerOf(conv, &own);
  return AppendConvolution(builder, place.name(), place.input(), options);
}

absl::StatusOr<int> AppendPooling(GraphBuilder& builder, const LayerPlace& place) {
  const bool max = place.layer().has_max_pool();
  const v1::PoolLayer& pool = max ? place.layer().max_pool() : place.layer().average_pool();
  RETURN_IF_ERROR(Fits(place, pool.kernel(), pool.padding()));
  kernels::PoolShape shape;
  shape.kernel = pool.kernel();
  shape.stride = pool.stride();
  shape.padding = pool.padding();
  return AppendPool(builder, place.name(), place.input(), max ? Pooling::kMax : Pooling::kAverage, shape);
}

absl::StatusOr<int> AppendGlobalPooling(GraphBuilder& builder, const LayerPlace& place) {
  if (place.shape().size() != 2) RETURN_IF_ERROR(place.IsImage());
  return AppendGlobalAveragePool(builder, place.name(), place.input());
}

// A second input is the residual.
absl::StatusOr<int> AppendNorm(GraphBuilder& builder, const LayerPlace& place) {
  const v1::BatchNormLayer& norm = place.layer().batch_norm();
  const Activation activation = LayerActivation(norm.activation());
  BatchNormOptions options;
  options.epsilon = norm.epsilon();
  options.momentum = norm.momentum();
  options.relu = activation == Activation::kRelu;
  if (place.inputs() == 2) {
    RETURN_IF_ERROR(place.AreAlike(0, 1));
    options.residual = place.input(1);
  }
  const int value = AppendBatchNorm(builder, place.name(), place.input(), options);
  if (options.relu || activation == Activation::kIdentity) return value;
  return AppendActivation(builder, place.name() + ".activation", value, activation);
}

absl::StatusOr<int> AppendFlat(GraphBuilder& builder, const LayerPlace& place) {
  if (place.shape().size() == 2) {
    return AppendReshape(builder, place.name(), place.input(), {builder.width(place.input())});
  }
  RETURN_IF_ERROR(place.IsImage());
  return AppendFlatten(builder, place.name(), place.input());
}

int AppendAffine(GraphBuilder& builder, const LayerPlace& place) {
  const v1::LinearLayer& linear = place.layer().linear();
  int input = place.input();
  if (place.shape().size() == 3) input = AppendFlatten(builder, place.name() + ".flatten", input);
  Initializer own;
  LinearOptions options;
  options.activation = LayerActivation(linear.activation());
  options.bias = linear.bias();
  options.initializer = InitializerOf(linear, &own);
  return AppendLinear(builder, place.name(), input, linear.width(), options);
}

}  // namespace

absl::StatusOr<int> AppendImageLayer(GraphBuilder& builder, const LayerPlace& place) {
  const v1::Layer& layer = place.layer();
  switch (layer.operation_case()) {
    case v1::Layer::kConv:
      return AppendConv(builder, place);
    case v1::Layer::kMaxPool:
    case v1::Layer::kAveragePool:
      return AppendPooling(builder, place);
    case v1::Layer::kGlobalAveragePool:
      return AppendGlobalPooling(builder, place);
    case v1::Layer::kBatchNorm:
      return AppendNorm(builder, place);
    case v1::Layer::kActivation:
      return AppendActivation(builder, layer.name(), place.input(), LayerActivation(layer.activation()));
    case v1::Layer::kDropout:
      if (layer.dropout().probability() == 0) return place.input();
      return AppendDropout(builder, layer.name(), place.input(), layer.dropout().probability());
    case v1::Layer::kFlatten:
      return AppendFlat(builder, place);
    case v1::Layer::kLinear:
      return AppendAffine(builder, place);
    default:
      return place.Error("not a layer of images");
  }
}

}  // namespace lockstep::engine
