// The executor: plans every buffer, binds the graph's nodes, and runs them.

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "kernels/gemm.h"
#include "worker/engine/engine.h"
#include "worker/engine/graph.h"
#include "worker/engine/loss.h"
#include "worker/engine/memory_plan.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

struct FreeAligned {
  void operator()(float* block) const { ::operator delete[](block, std::align_val_t{64}); }
};
using Block = std::unique_ptr<float[], FreeAligned>;

// Zeroed, so that rows nobody has filled yet compute something finite.
Block Allocate(int64_t floats) {
  const size_t count = static_cast<size_t>(std::max<int64_t>(floats, 1));
  Block block(new (std::align_val_t{64}) float[count]);
  std::fill(block.get(), block.get() + count, 0.0f);
  return block;
}

struct Gap {
  int64_t offset = 0, size = 0;
};

// What lies between the parameters of the flat buffer.
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

class GraphExecutor final : public Executor {
 public:
  GraphExecutor(std::shared_ptr<const GraphModel> model, const ExecutorOptions& options)
      : model_(std::move(model)),
        graph_(model_->graph()),
        rows_per_shard_(options.rows_per_shard),
        capacity_(int64_t{options.shards.size()} * options.rows_per_shard),
        gaps_(Gaps(graph_)),
        shard_rows_(options.shards.size(), options.rows_per_shard) {
    for (const TreeNode& node : MaximalNodes(options.logical_shards, options.shards)) {
      node_end_.push_back(Covered(node, options.logical_shards).end - options.shards.begin);
    }
    tree_ = {rows_per_shard_, shard_rows_.data(), static_cast<int>(node_end_.size()), node_end_.data()};
    Plan(options);
  }

  float* features() override { return input_; }
  int32_t* classes() override { return classes_.data(); }
  float* targets() override { return targets_.get(); }
  void SetRows(int local_shard, int rows) override { shard_rows_[local_shard] = rows; }

  void Gradient(const float* weights, int64_t step, int batch_rows, float* node_sums) override {
    PrepareComputeThread();
    Pass pass;
    pass.weights = weights;
    pass.training = true;
    pass.rows = capacity_;
    pass.step = step;
    pass.tree = &tree_;
    pass.node_sums = node_sums;
    pass.gradient_size = model_->gradient_size();
    for (const auto& op : ops_) op->Forward(pass);
    loss_->Run(tree_, 1.0f / static_cast<float>(batch_rows), classes_.data(), targets_.get(), output_,
               node_sums + graph_.flat_size, pass.gradient_size);
    for (size_t i = ops_.size(); i-- > 0;) ops_[i]->Backward(pass);
    for (int node = 0; node < tree_.nodes; ++node) {
      float* sums = node_sums + node * pass.gradient_size;
      for (const Gap& gap : gaps_) std::fill_n(sums + gap.offset, gap.size, 0.0f);
    }
  }

  void Predict(const float* weights, const float* x, int rows, float* out) override {
    PrepareComputeThread();
    const int64_t features = model_->features(), outputs = model_->outputs();
    // The graph reads the input buffer, which may hold the next batch already.
    std::copy_n(input_, capacity_ * features, kept_input_.get());
    Pass pass;
    pass.weights = weights;
    pass.rows = capacity_;  // always the shape that was planned; rows beyond the real ones are ignored
    for (int64_t first = 0; first < rows; first += capacity_) {
      const int64_t count = std::min<int64_t>(capacity_, rows - first);
      std::copy_n(x + first * features, count * features, input_);
      for (const auto& op : ops_) op->Forward(pass);
      std::copy_n(output_, count * outputs, out + first * outputs);
    }
    std::copy_n(kept_input_.get(), capacity_ * features, input_);
  }

 private:
  // Time runs forward through the nodes (0 ..), the loss (n), and back (2n - i for node i).
  void Plan(const ExecutorOptions& options) {
    const int n = static_cast<int>(graph_.nodes.size());
    const int end = 2 * n;
    const size_t values = graph_.values.size();
    std::vector<int> made(values, 0), last(values, 0);
    MemoryPlan plan;
    for (int i = 0; i < n; ++i) {
      const Node& node = *graph_.nodes[i];
      made[node.output] = i;
      last[node.output] = std::max(last[node.output], node.backward_reads_output() ? end - i : i);
      last[node.input] = std::max(last[node.input], node.backward_reads_input() ? end - i : i);
    }
    last[graph_.output] = end;  // the loss turns the output into its gradient, in place
    last[graph_.input] = end;   // the caller fills it while nothing runs
    std::vector<int> value_buffer(values), gradient_buffer(values, -1), workspace(n);
    for (size_t v = 0; v < values; ++v) {
      const bool is_input = static_cast<int>(v) == graph_.input;
      value_buffer[v] = plan.Add(capacity_ * graph_.values[v].width, is_input ? 0 : made[v], last[v]);
    }
    for (int i = 0; i < n; ++i) {
      const Node& node = *graph_.nodes[i];
      // The gradient of a node's output: written by the backward of its consumer, the next node in the chain.
      if (node.output != graph_.output) {
        int consumer = i + 1;
        while (graph_.nodes[consumer]->input != node.output) ++consumer;
        gradient_buffer[node.output] =
            plan.Add(capacity_ * graph_.values[node.output].width, end - consumer, end - i);
      }
      workspace[i] = plan.Add(node.workspace(capacity_), i, end - i);
    }
    plan.Lay();
    memory_ = Allocate(plan.total());
    const auto at = [&](int buffer) { return memory_.get() + plan.offset(buffer); };

    input_ = at(value_buffer[graph_.input]);
    output_ = at(value_buffer[graph_.output]);
    kept_input_ = Allocate(capacity_ * model_->features());
    targets_ = Allocate(capacity_ * model_->outputs());
    classes_.assign(static_cast<size_t>(capacity_), 0);
    loss_ = MakeLoss(graph_.loss, capacity_, model_->outputs());
    for (int i = 0; i < n; ++i) {
      const Node& node = *graph_.nodes[i];
      OpContext context;
      context.rows = capacity_;
      context.rows_per_shard = rows_per_shard_;
      context.first_row = int64_t{options.shards.begin} * rows_per_shard_;
      context.seed = options.seed;
      context.node = i;
      context.input = at(value_buffer[node.input]);
      context.input_gradient = node.input == graph_.input ? nullptr : at(gradient_buffer[node.input]);
      context.output = at(value_buffer[node.output]);
      context.output_gradient = node.output == graph_.output ? output_ : at(gradient_buffer[node.output]);
      context.workspace = at(workspace[i]);
      context.parameters = graph_.parameters.data();
      ops_.push_back(node.Bind(context));
    }
  }

  const std::shared_ptr<const GraphModel> model_;
  const Graph& graph_;
  const int rows_per_shard_;
  const int64_t capacity_;  // rows
  const std::vector<Gap> gaps_;
  std::vector<int> shard_rows_, node_end_;
  kernels::ShardTree tree_;
  Block memory_, kept_input_, targets_;
  std::vector<int32_t> classes_;
  float* input_ = nullptr;
  float* output_ = nullptr;
  std::unique_ptr<LossOp> loss_;
  std::vector<std::unique_ptr<Op>> ops_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Executor>> MakeExecutor(std::shared_ptr<const Model> model,
                                                       const v1::JobSpec& spec,
                                                       const ExecutorOptions& options) {
  auto graph_model = std::dynamic_pointer_cast<const GraphModel>(std::move(model));
  if (graph_model == nullptr) {
    return absl::InvalidArgumentError("MakeExecutor: the model was not made by BuildModel");
  }
  const v1::Loss wanted = spec.train().loss();
  if (wanted != v1::LOSS_UNSPECIFIED && wanted != graph_model->graph().loss) {
    return absl::InvalidArgumentError(absl::StrCat("train.loss: ", v1::Loss_Name(wanted),
                                                   " does not fit the model, which was built for ",
                                                   v1::Loss_Name(graph_model->graph().loss)));
  }
  if (options.shards.begin < 0 || options.shards.size() < 1 || options.shards.end > options.logical_shards ||
      options.rows_per_shard < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("executor: expected a non-empty range of the ", options.logical_shards,
                     " logical shards and at least one row per shard, got shards ", options.shards.begin,
                     " to ", options.shards.end, " of ", options.rows_per_shard,
                     " rows; train.batch_size must be at least the shards"));
  }
  PrepareComputeThread();
  return std::make_unique<GraphExecutor>(std::move(graph_model), options);
}

}  // namespace lockstep::engine
