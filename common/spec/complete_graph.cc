// Defaults of a graph, and what its list of layers says without any shape: who reads whom.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec/checks.h"
#include "common/spec/complete_layer.h"
#include "common/spec/limits.h"
#include "common/spec/spec.h"
#include "common/spec/text_spec.h"

namespace lockstep::spec {
namespace {

constexpr char kInput[] = "input";
constexpr int kMostLayers = 10000, kLongestAxis = 1 << 24;

struct InputCount {
  int least = 1, most = 1;
};

InputCount InputsOf(const v1::Layer& layer) {
  switch (layer.operation_case()) {
    case v1::Layer::kAdd:
    case v1::Layer::kSwiglu:
      return {2, 2};
    case v1::Layer::kConcat:
      return {2, kMostLayers};
    case v1::Layer::kBatchNorm:
      return {1, 2};
    case v1::Layer::kAttention:
      return {1, layer.attention().projections() ? 1 : 3};
    default:
      return {1, 1};
  }
}

std::string Expected(const v1::Layer& layer, const InputCount& count) {
  if (layer.has_attention() && count.most == 3) return "1 input or 3";
  if (count.least == count.most) return absl::StrCat(count.most, count.most == 1 ? " input" : " inputs");
  return count.most == kMostLayers ? absl::StrCat("at least ", count.least, " inputs")
                                   : absl::StrCat(count.least, " or ", count.most, " inputs");
}

class GraphChecks {
 public:
  explicit GraphChecks(v1::GraphSpec* graph) : graph_(graph), reads_(graph->layers_size()) {}

  absl::Status Run() {
    RETURN_IF_ERROR(NameLayers(kList, graph_->mutable_layers()));
    const bool text = ReadsTokens(*graph_);
    for (int i = 0; i < graph_->layers_size(); ++i) RETURN_IF_ERROR(CompleteOne(i, text));
    for (int i = 0; i < graph_->layers_size(); ++i) RETURN_IF_ERROR(FindInputs(i));
    for (int i = 0; i < graph_->layers_size(); ++i) RETURN_IF_ERROR(CheckOrder(i));
    RETURN_IF_ERROR(CheckAllAreRead());
    return CheckTied();
  }

 private:
  static constexpr char kList[] = "model.graph.layers";

  const std::string& NameOf(int i) const { return graph_->layers(i).name(); }
  absl::Status Error(int i, absl::string_view message) const {
    return Invalid(LayerPlace(kList, i, graph_->layers(i)), message);
  }

  absl::Status CompleteOne(int i, bool text) {
    v1::Layer* layer = graph_->mutable_layers(i);
    if (layer->name() == kInput) {
      return Invalid(LayerField(kList, i) + ".name", "'input' is the model's input; expected another name");
    }
    number_[layer->name()] = i;
    if (layer->has_attention() && !layer->attention().has_causal()) {
      layer->mutable_attention()->set_causal(text);
    }
    RETURN_IF_ERROR(CompleteLayer(kList, i, layer));
    const bool last = i + 1 == graph_->layers_size();
    if (layer->has_linear() && !layer->linear().has_width() && layer->linear().tied().empty() && !last) {
      return Error(i,
                   "linear.width is missing; expected for example width: 128 (only the last layer, which "
                   "is the output, takes it from the task)");
    }
    const InputCount count = InputsOf(*layer);
    if (layer->inputs().empty() && count.least == 1) {
      layer->add_inputs(i == 0 ? kInput : NameOf(i - 1));
    }
    const int inputs = layer->inputs_size();
    const bool between = layer->has_attention() && inputs == 2;
    if (inputs < count.least || inputs > count.most || between) {
      return Error(i, absl::StrCat(OperationOf(*layer), " reads ", Expected(*layer, count), ", got ", inputs,
                                   inputs == 0 ? "; name them, for example inputs: [one, two]" : ""));
    }
    if (inputs == 3 && layer->attention().has_rope_theta()) {
      return Error(i, "attention.rope_theta is for one input; put rope layers before the query and the key");
    }
    return absl::OkStatus();
  }

  absl::Status FindInputs(int i) {
    for (const std::string& name : graph_->layers(i).inputs()) {
      const auto found = number_.find(name);
      if (found != number_.end()) reads_[i].push_back(found->second);
      if (found != number_.end() || name == kInput) continue;
      std::vector<std::string> names = {kInput};
      for (int j = 0; j < i; ++j) names.push_back(NameOf(j));
      const std::string nearest = Nearest(name, names);
      return Error(i, absl::StrCat("reads '", name, "', but there is no such layer; ",
                                   nearest.empty() ? "expected `input` or the name of a layer above"
                                                   : absl::StrCat("did you mean '", nearest, "'?")));
    }
    return absl::OkStatus();
  }

  // A layer reads layers above it.
  absl::Status CheckOrder(int i) const {
    for (const int j : reads_[i]) {
      if (j < i) continue;
      const std::vector<int> way = Way(j, i);
      if (way.empty()) {
        return Error(i, absl::StrCat("reads '", NameOf(j), "', which stands below it, at layers[", j,
                                     "]; move it below what it reads"));
      }
      std::string cycle;
      for (auto at = way.rbegin(); at != way.rend(); ++at) absl::StrAppend(&cycle, NameOf(*at), " -> ");
      return Error(i, absl::StrCat("is part of a cycle: ", cycle, NameOf(i),
                                   " (each feeds the next); a graph has none, so one of them must read "
                                   "another layer"));
    }
    return absl::OkStatus();
  }

  // From `from` by what it reads to `to`; empty: there is no way. {from} where they are one.
  std::vector<int> Way(int from, int to) const {
    std::vector<int> by(reads_.size(), -1), open = {from};
    by[from] = from;
    while (!open.empty()) {
      const int at = open.back();
      open.pop_back();
      if (at == to) {
        std::vector<int> way;
        for (int step = to; step != from; step = by[step]) way.push_back(step);
        way.push_back(from);
        std::reverse(way.begin(), way.end());
        return way;
      }
      for (const int next : reads_[at]) {
        if (by[next] >= 0) continue;
        by[next] = at;
        open.push_back(next);
      }
    }
    return {};
  }

  // A layer that nobody reads would be computed for nothing, and its weights would not learn: rather a slip.
  absl::Status CheckAllAreRead() const {
    std::vector<bool> read(reads_.size(), false);
    for (const std::vector<int>& inputs : reads_) {
      for (const int j : inputs) read[j] = true;
    }
    for (size_t i = 0; i + 1 < read.size(); ++i) {
      if (read[i]) continue;
      return Error(static_cast<int>(i),
                   absl::StrCat("no layer reads it, and it is not the output, which is the last layer ('",
                                NameOf(graph_->layers_size() - 1),
                                "'); name it in the inputs of a layer below, or remove it"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckTied() const {
    for (int i = 0; i < graph_->layers_size(); ++i) {
      const std::string& table = graph_->layers(i).linear().tied();
      if (table.empty()) continue;
      if (i + 1 < graph_->layers_size()) {
        return Error(i, absl::StrCat("linear.tied: only the last layer, which is the output, can share the "
                                     "table of '",
                                     table, "'"));
      }
      std::vector<std::string> tables;
      for (const v1::Layer& layer : graph_->layers()) {
        if (layer.has_embedding()) tables.push_back(layer.name());
      }
      if (std::find(tables.begin(), tables.end(), table) != tables.end()) continue;
      return Error(
          i, absl::StrCat(
                 "linear.tied: '", table, "' is no embedding of the graph; ",
                 tables.empty() ? "it has none" : absl::StrCat("expected ", absl::StrJoin(tables, " or "))));
    }
    return absl::OkStatus();
  }

  v1::GraphSpec* const graph_;
  std::map<std::string, int> number_;
  std::vector<std::vector<int>> reads_;  // of each layer: the layers it reads
};

}  // namespace

absl::Status CompleteGraph(v1::GraphSpec* graph) {
  if (graph->layers().empty()) {
    return Invalid("model.graph.layers",
                   "expected at least one layer, for example [ { linear: { width: 64, activation: relu } }, "
                   "{ linear: {} } ]");
  }
  if (graph->layers_size() > kMostLayers) {
    return Invalid("model.graph.layers",
                   absl::StrCat("expected at most ", kMostLayers, " layers, got ", graph->layers_size()));
  }
  if (graph->input_shape_size() > kMostAxes) {
    return Invalid("model.graph.input_shape",
                   absl::StrCat("expected at most ", kMostAxes, " numbers, got ", graph->input_shape_size()));
  }
  for (int i = 0; i < graph->input_shape_size(); ++i) {
    RETURN_IF_ERROR(
        InRange(absl::StrCat("model.graph.input_shape[", i, "]"), graph->input_shape(i), 1, kLongestAxis));
  }
  RETURN_IF_ERROR(GraphChecks(graph).Run());
  if (graph->input_shape().empty() || !ReadsTokens(*graph)) return absl::OkStatus();
  return Invalid("model.graph.input_shape",
                 "the input of a graph with an embedding is text, (steps) tokens; leave it out, "
                 "dataset.text.sequence_length says how many");
}

}  // namespace lockstep::spec
