// Defaults and ranges of the models of images.
#include <string>

#include "absl/strings/str_cat.h"
#include "common/spec/checks.h"
#include "common/spec/complete_layer.h"
#include "common/spec/image_spec.h"
#include "common/spec/limits.h"

namespace lockstep::spec {
namespace {

bool IsOfImages(const v1::Layer& layer) {
  switch (layer.operation_case()) {
    case v1::Layer::kConv:
    case v1::Layer::kMaxPool:
    case v1::Layer::kAveragePool:
    case v1::Layer::kGlobalAveragePool:
    case v1::Layer::kBatchNorm:
    case v1::Layer::kActivation:
    case v1::Layer::kDropout:
    case v1::Layer::kFlatten:
    case v1::Layer::kLinear:
      return true;
    default:
      return false;
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
  const std::string list = "model.cnn.layers";
  RETURN_IF_ERROR(NameLayers(list, cnn->mutable_layers()));
  for (int i = 0; i < cnn->layers_size(); ++i) {
    v1::Layer* layer = cnn->mutable_layers(i);
    const std::string field = LayerField(list, i);
    if (!IsOfImages(*layer)) {
      return Invalid(absl::StrCat(field, ".", OperationOf(*layer)),
                     "is not for images in a row; expected conv, max_pool, average_pool, "
                     "global_average_pool, batch_norm, activation, dropout, flatten or linear; model: graph "
                     "takes the others");
    }
    RETURN_IF_ERROR(CompleteLayer(list, i, layer));
    if (!layer->inputs().empty()) {
      return Invalid(field + ".inputs", "a cnn's layer reads the one before it; model: graph takes inputs");
    }
    if (layer->has_linear() && !layer->linear().tied().empty()) {
      return Invalid(field + ".linear.tied", "a cnn has no embedding; model: graph may have one");
    }
    if (layer->has_linear() && !layer->linear().has_width()) {
      return Missing(field + ".linear.width", "width: 128");
    }
    if (layer->name() == "output") {
      return Invalid(field + ".name", "expected a name of its own, got 'output', which is the last layer's");
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
  const bool cnn = model->has_cnn(), graph = model->has_graph();
  if (!cnn && !graph && !model->has_resnet()) return absl::OkStatus();
  auto* shape = cnn     ? model->mutable_cnn()->mutable_input_shape()
                : graph ? model->mutable_graph()->mutable_input_shape()
                        : model->mutable_resnet()->mutable_input_shape();
  if (shape->empty()) {
    const v1::Column column = dataset.columns_size() > 0 ? dataset.columns(0) : v1::Column();
    const auto& pixels = column.shape();
    if (dataset.format() != v1::DATASET_FORMAT_IDX || pixels.size() < 2 || pixels.size() > 3) {
      if (graph) return absl::OkStatus();  // a row of features
      return spec::Invalid(
          cnn ? "model.cnn.input_shape" : "model.resnet.input_shape",
          absl::StrCat("missing, and the rows of dataset '", dataset.name(),
                       "' do not tell; expected [height, width, channels], for example [28, 28, 1]"));
    }
    for (const int32_t extent : pixels) shape->Add(extent);
    if (shape->size() == 2) shape->Add(1);
  }
  if (graph) return absl::OkStatus();
  return cnn ? spec::CompleteCnn(model->mutable_cnn()) : spec::CompleteResNet(model->mutable_resnet());
}

}  // namespace lockstep
