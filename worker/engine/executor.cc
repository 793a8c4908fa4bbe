// The executor: plans every buffer, binds the graph's nodes, and runs them.

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "kernels/tree_add.h"
#include "worker/engine/accumulation.h"
#include "worker/engine/binding.h"
#include "worker/engine/engine.h"
#include "worker/engine/graph.h"
#include "worker/engine/loss.h"
#include "worker/engine/op.h"
#include "worker/engine/plan.h"
#include "worker/engine/team.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

int Threads(const ExecutorOptions& options) { return options.team == nullptr ? 1 : options.team->size(); }

Extent ExtentOf(const ExecutorOptions& options) {
  Extent extent;
  extent.rows_per_shard = options.rows_per_shard;
  extent.rows = int64_t{options.shards.size()} * options.rows_per_shard;
  extent.threads = Threads(options);
  return extent;
}

class GraphExecutor final : public MovableExecutor {
 public:
  GraphExecutor(std::shared_ptr<const GraphModel> model, const ExecutorOptions& options)
      : model_(std::move(model)),
        graph_(model_->graph()),
        logical_shards_(options.logical_shards),
        rows_per_shard_(options.rows_per_shard),
        capacity_(int64_t{options.shards.size()} * options.rows_per_shard),
        gaps_(Gaps(graph_)),
        rounded_(options.rounded_weights),
        alone_(1),
        team_(options.team == nullptr ? &alone_ : options.team),
        shard_rows_(options.shards.size(), options.rows_per_shard),
        plan_(graph_, ExtentOf(options)) {
    node_end_.reserve(shard_rows_.size());
    Move(options.shards);
    Bind(options);
  }

  void Move(ShardRange shards) override {
    node_end_.clear();
    VisitMaximalNodes(logical_shards_, shards, [&](TreeNode node) {
      node_end_.push_back(Covered(node, logical_shards_).end - shards.begin);
    });
    tree_ = {rows_per_shard_, shard_rows_.data(), static_cast<int>(node_end_.size()), node_end_.data()};
    first_row_ = int64_t{shards.begin} * rows_per_shard_;
    std::fill(shard_rows_.begin() + shards.size(), shard_rows_.end(), 0);
  }

  float* features() override { return input_; }
  int32_t* tokens() override { return reinterpret_cast<int32_t*>(input_); }
  int32_t* classes() override { return classes_.data(); }
  float* targets() override { return targets_.data(); }
  void SetRows(int local_shard, int rows) override { shard_rows_[local_shard] = rows; }
  int64_t capacity() const override { return capacity_; }
  int64_t bytes() const override { return BytesOf(*model_, plan_, capacity_); }

  static int64_t BytesOf(const GraphModel& model, const ExecutionPlan& plan, int64_t capacity) {
    const int64_t predictions = capacity * model.positions();
    return 4 * (plan.floats() + capacity * model.features() +
                predictions * (1 + model.outputs() * Targets(model)));
  }

  void Gradient(const float* weights, int64_t step, int batch_rows, float* node_sums) override {
    PrepareComputeThread();
    Pass pass;
    pass.weights = weights;
    pass.rounded = rounded_;
    pass.training = true;
    pass.rows = capacity_;
    pass.step = step;
    pass.first_row = first_row_;
    pass.batch_rows = batch_rows;
    pass.tree = &tree_;
    pass.node_sums = node_sums;
    pass.gradient_size = model_->gradient_size();
    const float scale = 1.0f / (static_cast<float>(batch_rows) * static_cast<float>(model_->positions()));
    const kernels::ShardTree predictions = Positions(tree_, model_->positions());
    team_->Run([&](const Member& member) {
      ForwardAll(pass, member);
      loss_->Run(member, predictions, scale, classes_.data(), targets_.data(), output_,
                 node_sums + graph_.flat_size, pass.gradient_size);
      if (member.index == 0) {
        for (int node = 0; node < tree_.nodes; ++node) {
          float* sums = node_sums + node * pass.gradient_size;
          for (const Gap& gap : gaps_) std::fill_n(sums + gap.offset, gap.size, 0.0f);
          std::fill_n(sums + graph_.flat_size + kRowStats, kStats - kRowStats, 0.0f);
        }
      }
      member.Barrier();
      for (size_t i = ops_.size(); i-- > 0;) {
        if (!plan_.node(static_cast<int>(i)).backward) continue;
        ops_[i]->Backward(pass, member);
        member.Barrier();
        for (const Addition& addition : additions_[i]) {
          const Range share = member.Share(addition.count, 16);
          kernels::cpu::TreeAddInto(share.end - share.begin, addition.from + share.begin,
                                    addition.to + share.begin);
        }
        if (!additions_[i].empty()) member.Barrier();
      }
    });
  }

  void Predict(const float* weights, const float* x, int rows, float* out) override {
    const int64_t width = int64_t{model_->outputs()} * model_->positions();
    InChunks(weights, x, rows, [&](const Member&, int64_t first, int64_t count) {
      std::copy_n(output_, count * width, out + first * width);
    });
  }

  void PredictTokens(const float* weights, const int32_t* x, int rows, float* out) override {
    Predict(weights, reinterpret_cast<const float*>(x), rows, out);
  }

  void TokenLosses(const float* weights, const int32_t* x, const int32_t* classes, int rows, float* losses,
                   float* correct) override {
    const int64_t positions = model_->positions();
    loss_team_ = true;
    InChunks(weights, reinterpret_cast<const float*>(x), rows,
             [&](const Member& member, int64_t first, int64_t count) {
               loss_->Losses(member, count * positions, classes + first * positions, nullptr, output_,
                             losses + first * positions, correct + first * positions);
             });
    loss_team_ = false;
  }

 private:
  // Floats of targets that one prediction has.
  static int64_t Targets(const GraphModel& model) {
    return model.loss() == v1::LOSS_MEAN_SQUARED_ERROR ? 1 : 0;
  }

  void ForwardAll(const Pass& pass, const Member& member) {
    for (const auto& op : ops_) {
      op->Forward(pass, member);
      member.Barrier();
    }
  }

  // Runs the forward pass over `rows` of x, as many at a time as there is room for, and then `use(member,
  // first, count)`.
  template <class Use>
  void InChunks(const float* weights, const float* x, int rows, const Use& use) {
    PrepareComputeThread();
    const int64_t features = model_->features();
    // The graph reads the input buffer, which may hold the next batch already.
    std::memcpy(kept_input_.data(), input_, static_cast<size_t>(capacity_ * features) * sizeof(float));
    Pass pass;
    pass.weights = weights;
    pass.rows = capacity_;  // always the shape that was planned; rows beyond the real ones are ignored
    for (int64_t first = 0; first < rows; first += capacity_) {
      const int64_t count = std::min<int64_t>(capacity_, rows - first);
      std::memcpy(input_, x + first * features, static_cast<size_t>(count * features) * sizeof(float));
      team_->Run([&](const Member& member) {
        ForwardAll(pass, member);
        if (loss_team_ || member.index == 0) use(member, first, count);
      });
    }
    std::memcpy(input_, kept_input_.data(), static_cast<size_t>(capacity_ * features) * sizeof(float));
  }

  void Bind(const ExecutorOptions& options) {
    memory_ = ZeroedFloats(plan_.floats());  // zeros: rows nobody has filled yet compute something finite
    TakeMemory(memory_.span());
    const auto at = [&](int buffer) { return buffer < 0 ? nullptr : memory_.data() + plan_.offset(buffer); };
    const int64_t predictions = capacity_ * model_->positions();
    input_ = at(plan_.value(graph_.input));
    output_ = at(plan_.value(graph_.output));
    kept_input_ = ZeroedFloats(capacity_ * model_->features());
    targets_ = ZeroedFloats(Targets(*model_) * predictions * model_->outputs());
    classes_.assign(static_cast<size_t>(predictions), 0);
    loss_ = MakeLoss(graph_.loss, predictions, model_->outputs(), options.label_smoothing);
    additions_.resize(graph_.nodes.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      Binding binding =
          BindingOf(graph_, plan_, static_cast<int>(i), ExtentOf(options), options, memory_.data());
      additions_[i] = std::move(binding.additions);
      ops_.push_back(graph_.nodes[i]->Bind(binding.context));
    }
  }

  const std::shared_ptr<const GraphModel> model_;
  const Graph& graph_;
  const int logical_shards_;
  const int rows_per_shard_;
  const int64_t capacity_;  // rows
  int64_t first_row_ = 0;   // of the whole batch
  const std::vector<Gap> gaps_;
  const uint16_t* const rounded_;
  Team alone_;
  Team* const team_;
  std::vector<int> shard_rows_, node_end_;
  const ExecutionPlan plan_;
  kernels::ShardTree tree_;
  ZeroedFloats memory_, kept_input_, targets_;
  std::vector<int32_t> classes_;
  float* input_ = nullptr;
  float* output_ = nullptr;
  std::unique_ptr<LossOp> loss_;
  std::vector<std::unique_ptr<Op>> ops_;
  std::vector<std::vector<Addition>> additions_;  // by node
  bool loss_team_ = false;                        // does every member take part in what follows a prediction?
};

}  // namespace

absl::StatusOr<int64_t> ExecutorBytes(const Model& model, const ExecutorOptions& options) {
  const auto* graph_model = dynamic_cast<const GraphModel*>(&model);
  if (graph_model == nullptr) {
    return absl::InvalidArgumentError("ExecutorBytes: the model was not made by BuildModel");
  }
  ExecutorOptions of_pass = options;
  of_pass.shards = ShardsOfPass(options);
  const Extent extent = ExtentOf(of_pass);
  return GraphExecutor::BytesOf(*graph_model, ExecutionPlan(graph_model->graph(), extent), extent.rows) +
         AccumulationBytes(model, options);
}

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
  ExecutorOptions complete = options;
  complete.label_smoothing = spec.train().label_smoothing();
  if (options.passes <= 1) return std::make_unique<GraphExecutor>(std::move(graph_model), complete);
  ExecutorOptions of_pass = complete;
  of_pass.shards = ShardsOfPass(options);
  auto inner = std::make_unique<GraphExecutor>(graph_model, of_pass);
  return MakeAccumulatingExecutor(std::move(graph_model), std::move(inner), complete);
}

}  // namespace lockstep::engine
