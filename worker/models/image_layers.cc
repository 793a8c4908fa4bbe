#include "worker/models/image_layers.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/activation.h"
#include "kernels/convolution.h"
#include "worker/engine/activation.h"
#include "worker/engine/batch_norm.h"
#include "worker/engine/convolution.h"
#include "worker/engine/dropout.h"
#include "worker/engine/flatten.h"
#include "worker/engine/linear.h"
#include "worker/engine/pool.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;

// Unspecified: none.
Activation LayerActivation(v1::Activation activation) {
  switch (activation) {
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
      return Activation::kIdentity;
  }
}

// One layer, for its errors.
class Place {
 public:
  Place(const GraphBuilder& builder, const std::string& field, const v1::Layer& layer, int input)
      : name_(absl::StrCat(field, " (", layer.name(), ")")), shape_(builder.shape(input)) {}

  absl::Status Error(const std::string& message) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": ", message));
  }
  absl::Status IsImage() const {
    if (shape_.size() == 3) return absl::OkStatus();
    return Error(absl::StrCat("expected an image (height x width x channels), got ", ShapeText(shape_),
                              "; put the layer before flatten, linear and global_average_pool"));
  }
  absl::Status Fits(int64_t kernel, int64_t padding) const {
    RETURN_IF_ERROR(IsImage());
    if (shape_[0] + 2 * padding >= kernel && shape_[1] + 2 * padding >= kernel) return absl::OkStatus();
    return Error(absl::StrCat("kernel ", kernel, " does not fit in ", shape_[0], "x", shape_[1],
                              padding > 0 ? absl::StrCat(" with padding ", padding) : "",
                              "; take a smaller kernel, more padding, or fewer strides and pools before it"));
  }

 private:
  const std::string name_;
  const std::vector<int64_t> shape_;
};

absl::StatusOr<int> AppendConv(GraphBuilder& builder, const Place& place, const v1::Layer& layer, int input) {
  const v1::ConvolutionLayer& conv = layer.conv();
  RETURN_IF_ERROR(place.Fits(conv.kernel(), conv.padding()));
  const int64_t channels = builder.shape(input)[2];
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
  return AppendConvolution(builder, layer.name(), input, options);
}

absl::StatusOr<int> AppendPooling(GraphBuilder& builder, const Place& place, const v1::Layer& layer,
                                  int input) {
  const v1::PoolLayer& pool = layer.has_max_pool() ? layer.max_pool() : layer.average_pool();
  RETURN_IF_ERROR(place.Fits(pool.kernel(), pool.padding()));
  kernels::PoolShape shape;
  shape.kernel = pool.kernel();
  shape.stride = pool.stride();
  shape.padding = pool.padding();
  return AppendPool(builder, layer.name(), input, layer.has_max_pool() ? Pooling::kMax : Pooling::kAverage,
                    shape);
}

int AppendNorm(GraphBuilder& builder, const v1::Layer& layer, int input) {
  const v1::BatchNormLayer& norm = layer.batch_norm();
  const Activation activation = LayerActivation(norm.activation());
  BatchNormOptions options;
  options.epsilon = norm.epsilon();
  options.momentum = norm.momentum();
  options.relu = activation == Activation::kRelu;
  const int value = AppendBatchNorm(builder, layer.name(), input, options);
  if (options.relu || activation == Activation::kIdentity) return value;
  return AppendActivation(builder, layer.name() + ".activation", value, activation);
}

}  // namespace

std::string ShapeText(const std::vector<int64_t>& shape) { return absl::StrJoin(shape, "x"); }

absl::StatusOr<int> AppendImageLayer(GraphBuilder& builder, const std::string& field, const v1::Layer& layer,
                                     int input) {
  const Place place(builder, field, layer, input);
  switch (layer.operation_case()) {
    case v1::Layer::kConv:
      return AppendConv(builder, place, layer, input);
    case v1::Layer::kMaxPool:
    case v1::Layer::kAveragePool:
      return AppendPooling(builder, place, layer, input);
    case v1::Layer::kGlobalAveragePool:
      RETURN_IF_ERROR(place.IsImage());
      return AppendGlobalAveragePool(builder, layer.name(), input);
    case v1::Layer::kBatchNorm:
      return AppendNorm(builder, layer, input);
    case v1::Layer::kActivation:
      return AppendActivation(builder, layer.name(), input, LayerActivation(layer.activation()));
    case v1::Layer::kDropout:
      if (layer.dropout().probability() == 0) return input;
      return AppendDropout(builder, layer.name(), input, layer.dropout().probability());
    case v1::Layer::kFlatten:
      RETURN_IF_ERROR(place.IsImage());
      return AppendFlatten(builder, layer.name(), input);
    case v1::Layer::kLinear: {
      if (builder.shape(input).size() == 3) input = AppendFlatten(builder, layer.name() + ".flatten", input);
      const LinearOptions options{LayerActivation(layer.linear().activation()), layer.linear().bias(),
                                  nullptr};
      return AppendLinear(builder, layer.name(), input, layer.linear().width(), options);
    }
    default:
      return place.Error("not a layer of images");
  }
}

}  // namespace lockstep::engine
