#include "worker/models/graph_model.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/engine/embedding.h"
#include "worker/models/image_layers.h"
#include "worker/models/layer_options.h"
#include "worker/models/layer_place.h"
#include "worker/models/sequence_layers.h"
#include "worker/models/shape_layers.h"

namespace lockstep::engine {
namespace {

constexpr char kLayers[] = "model.graph.layers";
constexpr char kInput[] = "input";
constexpr int64_t kLargestValue = int64_t{1} << 31;

absl::StatusOr<std::vector<int64_t>> InputShapeOf(const v1::GraphSpec& graph, const GraphTask& task) {
  const auto& wanted = graph.input_shape();
  if (wanted.empty()) return std::vector<int64_t>{task.features};
  std::vector<int64_t> shape(wanted.begin(), wanted.end());
  int64_t width = 1;
  for (const int64_t extent : shape) width = extent > task.features / width ? -1 : width * extent;
  if (width == task.features) return shape;
  return absl::InvalidArgumentError(absl::StrCat("model.graph.input_shape: expected a shape of ",
                                                 task.features, " values, as the dataset's rows have, got ",
                                                 ShapeText(shape)));
}

// What the output must be, in words, where `shape` is not that.
std::string WhatIsWrongWithOutput(const std::vector<int64_t>& shape, const GraphTask& task) {
  if (task.task == v1::TASK_LANGUAGE_MODEL) {
    if (shape.size() == 2 && shape[0] == task.features && shape[1] >= task.outputs) return "";
    return absl::StrCat(task.features, "x", task.outputs, " (steps x the dataset's vocabulary, or more)");
  }
  if (shape == std::vector<int64_t>{task.outputs}) return "";
  switch (task.task) {
    case v1::TASK_CLASSIFICATION:
      return absl::StrCat(task.outputs, " (a score for each class of the label)");
    case v1::TASK_RECONSTRUCTION:
      return absl::StrCat(task.outputs, " (the features again)");
    default:
      return absl::StrCat(task.outputs, " (a value for each target)");
  }
}

// Does each step of the layer's output depend on that step of its inputs and on earlier ones alone? Its
// inputs are (steps, ...).
bool KeepsOrder(const LayerPlace& place) {
  const v1::Layer& layer = place.layer();
  switch (layer.operation_case()) {
    case v1::Layer::kConv:
    case v1::Layer::kMaxPool:
    case v1::Layer::kAveragePool:
    case v1::Layer::kGlobalAveragePool:
    case v1::Layer::kFlatten:
    case v1::Layer::kLast:
      return false;
    case v1::Layer::kLinear:
      return place.shape().size() == 2;
    case v1::Layer::kAttention:
      return layer.attention().causal();
    case v1::Layer::kConcat:
      return AxisOf(layer.concat(), static_cast<int>(place.shape().size())) != 0;
    case v1::Layer::kTranspose:
      return layer.transpose().axes(0) == 0;
    default:
      return true;
  }
}

class GraphModelBuilder {
 public:
  GraphModelBuilder(const v1::GraphSpec& spec, const GraphTask& task, std::vector<int64_t> input_shape)
      : spec_(spec), task_(task), builder_(std::move(input_shape), text()) {
    values_[kInput] = builder_.input();
  }

  absl::StatusOr<std::shared_ptr<const Model>> Build() && {
    for (int i = 0; i < spec_.layers_size(); ++i) {
      ASSIGN_OR_RETURN(const LayerPlace place, PlaceOf(i));
      ASSIGN_OR_RETURN(const int value, Append(place, i + 1 == spec_.layers_size()));
      values_[place.name()] = value;
      // Below this, no size in what follows overflows.
      if (builder_.width(value) > kLargestValue) {
        return place.Error(absl::StrCat("its output has ", builder_.width(value),
                                        " elements for each sample; expected at most ", kLargestValue));
      }
      if (i + 1 == spec_.layers_size()) RETURN_IF_ERROR(CheckOutput(place, value));
    }
    const int output = values_.at(spec_.layers(spec_.layers_size() - 1).name());
    std::shared_ptr<const Model> model = std::move(builder_).Build(output, task_.loss);
    RETURN_IF_ERROR(CheckNames(*model));
    return model;
  }

 private:
  bool text() const { return task_.task == v1::TASK_LANGUAGE_MODEL; }

  absl::StatusOr<LayerPlace> PlaceOf(int i) const {
    const v1::Layer& layer = spec_.layers(i);
    std::vector<LayerInput> inputs;
    for (const std::string& name : layer.inputs()) {
      const auto found = values_.find(name);
      if (found == values_.end()) {
        return absl::InvalidArgumentError(absl::StrCat(kLayers, "[", i, "] (", layer.name(), "): reads '",
                                                       name, "', which is no layer above it"));
      }
      inputs.push_back({name, found->second});
    }
    if (inputs.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          kLayers, "[", i, "]: has no inputs; CompleteSpec names those that the spec leaves out"));
    }
    return LayerPlace(builder_, kLayers, i, layer, std::move(inputs));
  }

  absl::StatusOr<int> Append(const LayerPlace& place, bool last) {
    const v1::Layer& layer = place.layer();
    if (layer.has_embedding()) return AppendTable(place);
    if (place.reads_tokens()) {
      return place.Error("expected numbers, got the text's tokens from 'input'; an embedding comes first");
    }
    if (text() && !KeepsOrder(place)) return place.Error(OrderError(layer));
    switch (layer.operation_case()) {
      case v1::Layer::kLinear:
        if (last) return AppendOutput(place);
        return AppendImageLayer(builder_, place);
      case v1::Layer::kAdd:
      case v1::Layer::kConcat:
      case v1::Layer::kTranspose:
        return AppendShapeLayer(builder_, place);
      case v1::Layer::kReshape: {
        ASSIGN_OR_RETURN(const int value, AppendShapeLayer(builder_, place));
        // With as many steps as before, each keeps its own elements.
        if (!text() || builder_.shape(value)[0] == task_.features) return value;
        return place.Error(OrderError(layer));
      }
      case v1::Layer::kLayerNorm:
      case v1::Layer::kRmsNorm:
      case v1::Layer::kAttention:
      case v1::Layer::kRope:
      case v1::Layer::kSwiglu:
      case v1::Layer::kLstm:
      case v1::Layer::kGru:
      case v1::Layer::kLast:
        return AppendSequenceLayer(builder_, place);
      default:
        return AppendImageLayer(builder_, place);
    }
  }

  static std::string OrderError(const v1::Layer& layer) {
    if (layer.has_attention()) {
      return "attention.causal: false lets a step see the tokens after it, which a language model is to "
             "predict; expected true, the default over text";
    }
    return "mixes the steps of a text, so that one would see the tokens after it, which a language model "
           "is to predict; expected layers that leave the first axis, the steps, as it is";
  }

  absl::StatusOr<int> AppendTable(const LayerPlace& place) {
    const v1::EmbeddingLayer& layer = place.layer().embedding();
    if (!place.reads_tokens()) {
      return place.Error(absl::StrCat("expected tokens, which the input of a text is, got ", place.Got()));
    }
    EmbeddingOptions options;
    options.vocabulary = layer.has_vocabulary() ? layer.vocabulary() : task_.outputs;
    if (options.vocabulary < task_.outputs) {
      return place.Error(absl::StrCat("vocabulary ", options.vocabulary,
                                      " is smaller than the dataset's, which has ", task_.outputs,
                                      " tokens; leave it out to take the dataset's"));
    }
    options.width = layer.width();
    if (layer.has_positions()) {
      if (layer.positions() < task_.features) {
        return place.Error(absl::StrCat("positions ", layer.positions(), " are fewer than the ",
                                        task_.features,
                                        " tokens of a sample; raise them, or lower "
                                        "dataset.text.sequence_length"));
      }
      options.positions = place.name() + ".positions";
      options.context = layer.positions();
    }
    Initializer own;
    if (const Initializer* given = InitializerOf(layer, &own)) options.initializer = *given;
    const EmbeddingValue value = AppendEmbedding(builder_, place.name(), place.input(), options);
    tables_[place.name()] = value;
    return value.output;
  }

  // A linear layer that takes its width from the task, or its weight from a table.
  absl::StatusOr<int> AppendOutput(const LayerPlace& place) {
    const v1::LinearLayer& linear = place.layer().linear();
    if (!linear.tied().empty()) {
      const auto table = tables_.find(linear.tied());
      if (table == tables_.end()) {
        return place.Error(absl::StrCat("linear.tied: '", linear.tied(), "' is no embedding of the graph"));
      }
      const int64_t width = builder_.parameter_shape(table->second.table)[1];
      if (place.shape().back() != width) {
        return place.Error(absl::StrCat("the table of '", linear.tied(), "' has rows of ", width,
                                        ", but the input is ", place.Got(), "; they must be alike"));
      }
      return AppendTiedOutput(builder_, place.name(), place.input(), table->second);
    }
    if (linear.has_width()) return AppendImageLayer(builder_, place);
    v1::Layer whole = place.layer();
    whole.mutable_linear()->set_width(task_.outputs);
    return AppendImageLayer(builder_, place.With(whole));
  }

  absl::Status CheckOutput(const LayerPlace& place, int value) const {
    const std::string expected = WhatIsWrongWithOutput(builder_.shape(value), task_);
    if (expected.empty()) return absl::OkStatus();
    const bool sequence = !text() && builder_.shape(value).size() > 1;
    return place.Error(absl::StrCat(
        "is the output, for which expected ", expected, ", got ", ShapeText(builder_.shape(value)),
        sequence ? "; put last, flatten or global_average_pool before it"
                 : "; a linear layer without a width, at the end, takes the right one"));
  }

  // Some layers give names of their own to what they are made of: "attn.qkv", "fc.flatten".
  absl::Status CheckNames(const Model& model) const {
    std::set<std::string> seen;
    const auto check = [&](const std::string& name) {
      if (seen.insert(name).second) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat(kLayers, ": two of them give the name '", name,
                       "' to a part of theirs; rename the layer that is called '", name, "' or begins so"));
    };
    for (const LayerSummary& layer : model.Layers()) RETURN_IF_ERROR(check(layer.name));
    seen.clear();
    for (const Parameter& parameter : model.parameters()) RETURN_IF_ERROR(check(parameter.name));
    if (model.parameter_count() > 0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        kLayers, ": no layer has weights, so that there is nothing to train; add a linear layer"));
  }

  const v1::GraphSpec& spec_;
  const GraphTask task_;
  GraphBuilder builder_;
  std::map<std::string, int> values_;             // by layer
  std::map<std::string, EmbeddingValue> tables_;  // by layer
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> BuildGraph(const v1::GraphSpec& graph, const GraphTask& task) {
  if (graph.layers().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(kLayers, ": expected at least one layer"));
  }
  ASSIGN_OR_RETURN(std::vector<int64_t> shape, InputShapeOf(graph, task));
  return GraphModelBuilder(graph, task, std::move(shape)).Build();
}

}  // namespace lockstep::engine
