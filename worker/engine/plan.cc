#include "worker/engine/plan.h"

#include <algorithm>

namespace lockstep::engine {
namespace {

std::vector<int> Producers(const Graph& graph) {
  std::vector<int> producer(graph.values.size(), -1);
  for (size_t i = 0; i < graph.nodes.size(); ++i) producer[graph.nodes[i]->output] = static_cast<int>(i);
  return producer;
}

// In forward order; a node that reads a value twice is listed twice.
std::vector<std::vector<int>> Consumers(const Graph& graph) {
  std::vector<std::vector<int>> consumers(graph.values.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const int v : graph.nodes[i]->inputs) consumers[v].push_back(static_cast<int>(i));
  }
  return consumers;
}

// Which values' gradients are one piece of memory. A value joins the group of a node's output if nobody
// writes to that memory while another member still needs what is in it: a member is read for the last time by
// its producer, and written by its consumers before the node through which it joined.
struct Groups {
  Groups(const Graph& model, const std::vector<int>& producers, const std::vector<std::vector<int>>& readers)
      : of(model.values.size()), graph(model), producer(producers), consumers(readers), members(of.size()) {
    for (size_t v = 0; v < of.size(); ++v) {
      of[v] = static_cast<int>(v);
      members[v] = {static_cast<int>(v)};
    }
  }

  // Through node i, whose gradient passes to it unchanged.
  bool Join(int v, int i) {
    const int y = graph.nodes[i]->output;
    const auto& readers = consumers[v];
    if (producer[v] < 0 || readers.back() != i || std::count(readers.begin(), readers.end(), i) > 1)
      return false;
    for (const int u : members[of[y]]) {
      if (u != y && !(Undisturbed(u, v) && Undisturbed(v, u))) return false;
      if (u != y && Overwrites(u) && producer[v] < producer[u]) return false;
      if (Overwrites(v) && producer[u] < producer[v]) return false;
    }
    members[of[y]].push_back(v);
    of[v] = of[y];
    return true;
  }

  std::vector<int> of;  // the group of each value: its first member

 private:
  // Is `u` read before any of the other consumers of `writer` writes?
  bool Undisturbed(int u, int writer) const {
    for (size_t c = 0; c + 1 < consumers[writer].size(); ++c) {
      if (consumers[writer][c] >= producer[u]) return false;
    }
    return true;
  }
  bool Overwrites(int v) const { return graph.nodes[producer[v]]->OverwritesOutputGradient(); }

  const Graph& graph;
  const std::vector<int>& producer;
  const std::vector<std::vector<int>>& consumers;
  std::vector<std::vector<int>> members;
};

}  // namespace

ExecutionPlan::ExecutionPlan(const Graph& graph, const Extent& extent) {
  const int n = static_cast<int>(graph.nodes.size());
  const int end = 2 * n;
  const size_t count = graph.values.size();
  const std::vector<int> producer = Producers(graph);
  const std::vector<std::vector<int>> consumers = Consumers(graph);
  nodes_.resize(n);

  std::vector<bool> wanted(count, false);  // does its gradient reach a weight?
  for (int i = 0; i < n; ++i) {
    const Node& node = *graph.nodes[i];
    bool learns = false;
    for (const int p : node.parameters) learns |= graph.parameters[p].kind == Parameter::kWeight;
    for (const int v : node.inputs) learns |= wanted[v];
    const bool used = node.output == graph.output || !consumers[node.output].empty();
    nodes_[i].backward = wanted[node.output] = learns && used;
  }

  // Gradients that share memory, decided from the end, so that a chain of adds becomes one group.
  Groups groups(graph, producer, consumers);
  std::vector<std::vector<bool>> shares(n);
  for (int i = n - 1; i >= 0; --i) {
    const Node& node = *graph.nodes[i];
    shares[i].assign(node.inputs.size(), false);
    if (!node.PassesGradient() || !wanted[node.output]) continue;
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      shares[i][k] = wanted[node.inputs[k]] && groups.Join(node.inputs[k], i);
    }
  }
  const std::vector<int>& group = groups.of;

  // The lifetimes of values.
  std::vector<int> made(count, 0), last(count, 0);
  for (int i = 0; i < n; ++i) {
    const Node& node = *graph.nodes[i];
    made[node.output] = i;
    last[node.output] = std::max(last[node.output], node.BackwardReadsOutput() ? end - i : i);
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const int v = node.inputs[k];
      last[v] = std::max(last[v], node.BackwardReadsInput(static_cast<int>(k)) ? end - i : i);
    }
  }
  for (int i = 0; i < n; ++i) {
    if (const int v = graph.nodes[i]->kept; v >= 0) last[v] = std::max(last[v], end - i);
  }
  last[graph.output] = end;  // the loss turns the output into its gradient, in place
  last[graph.input] = end;   // the caller fills it while nothing runs
  for (size_t v = 0; v < count; ++v) {
    values_.push_back(plan_.Add(extent.rows * graph.values[v].width, made[v], last[v]));
  }

  // ... and of gradients: from the first consumer on the way back to the producer.
  std::vector<int> first_write(count, end + 1), last_read(count, -1), buffer(count, -1);
  std::vector<int64_t> width(count, 0);
  for (size_t v = 0; v < count; ++v) {
    if (!wanted[v]) continue;
    const int g = group[v];
    const int born = static_cast<int>(v) == graph.output ? n : end - consumers[v].back();
    first_write[g] = std::min(first_write[g], born);
    last_read[g] = std::max(last_read[g], end - producer[v]);
    width[g] = graph.values[v].width;
  }
  for (size_t g = 0; g < count; ++g) {
    if (width[g] == 0) continue;
    buffer[g] = static_cast<int>(g) == graph.output
                    ? values_[graph.output]
                    : plan_.Add(extent.rows * width[g], first_write[g], last_read[g]);
  }
  int64_t scratch = 0;
  for (int i = 0; i < n; ++i) {
    const Node& node = *graph.nodes[i];
    NodePlan& plan = nodes_[i];
    if (wanted[node.output]) plan.output_gradient = buffer[group[node.output]];
    plan.gradients.resize(node.inputs.size());
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const int v = node.inputs[k];
      if (!wanted[v] || !plan.backward || shares[i][k]) continue;
      Gradient& gradient = plan.gradients[k];
      gradient.buffer = buffer[group[v]];
      const bool first = consumers[v].back() == i &&
                         std::find(node.inputs.begin(), node.inputs.begin() + static_cast<int64_t>(k), v) ==
                             node.inputs.begin() + static_cast<int64_t>(k);
      if (first) continue;
      gradient.add = node.AddsInputGradient();
      if (!gradient.add)
        gradient.added_buffer = plan_.Add(extent.rows * graph.values[v].width, end - i, end - i);
    }
    if (const int64_t floats = node.Workspace(extent); floats > 0) {
      plan.workspace = plan_.Add(floats, i, plan.backward ? end - i : i);
    }
    scratch = std::max(scratch, node.Scratch(extent));
  }
  scratch_ = plan_.Add(scratch, 0, end);
  plan_.Lay();
}

}  // namespace lockstep::engine
