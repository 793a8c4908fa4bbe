#include "worker/engine/binding.h"

namespace lockstep::engine {

std::vector<Gap> Gaps(const Graph& graph) {
  std::vector<Gap> gaps;
  int64_t at = 0;
  for (auto parameter = graph.parameters.rbegin(); parameter != graph.parameters.rend(); ++parameter) {
    if (parameter->offset > at) gaps.push_back({at, parameter->offset - at});
    at = parameter->offset + parameter->size;
  }
  if (graph.flat_size > at) gaps.push_back({at, graph.flat_size - at});
  return gaps;
}

Binding BindingOf(const Graph& graph, const ExecutionPlan& plan, int number, const Extent& extent,
                  const ExecutorOptions& options, float* memory) {
  const auto at = [&](int buffer) { return buffer < 0 ? nullptr : memory + plan.offset(buffer); };
  const Node& node = *graph.nodes[number];
  const ExecutionPlan::NodePlan& of = plan.node(number);
  Binding binding;
  OpContext& context = binding.context;
  context.rows = extent.rows;
  context.rows_per_shard = extent.rows_per_shard;
  context.shards = options.shards.size();
  context.threads = extent.threads;
  context.seed = options.seed;
  context.node = number;
  context.precision = options.precision;
  for (size_t k = 0; k < node.inputs.size(); ++k) {
    context.inputs.push_back(at(plan.value(node.inputs[k])));
    const ExecutionPlan::Gradient& gradient = of.gradients[k];
    if (gradient.added_buffer >= 0) {
      context.input_gradients.push_back({at(gradient.added_buffer), false});
      binding.additions.push_back(
          {at(gradient.added_buffer), at(gradient.buffer), extent.rows * graph.values[node.inputs[k]].width});
    } else {
      context.input_gradients.push_back({at(gradient.buffer), gradient.add});
    }
  }
  context.output = at(plan.value(node.output));
  context.output_gradient = at(of.output_gradient);
  if (node.kept >= 0) {
    context.kept = at(plan.value(node.kept));
    context.graph_gradient = at(plan.value(graph.output));
  }
  context.workspace = at(of.workspace);
  context.scratch = at(plan.scratch());
  context.parameters = graph.parameters.data();
  return binding;
}

}  // namespace lockstep::engine
