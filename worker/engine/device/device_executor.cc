#include "worker/engine/device/device_executor.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/cuda/launched.h"
#include "kernels/cuda/tree_add.h"
#include "worker/engine/binding.h"
#include "worker/engine/device/device_loss.h"
#include "worker/engine/device/device_op.h"
#include "worker/engine/device/device_products.h"
#include "worker/engine/device/gradient_parts.h"
#include "worker/engine/device/step_graphs.h"
#include "worker/engine/graph.h"
#include "worker/engine/plan.h"

namespace lockstep::engine {
namespace {

using kernels::ToStatus;

Extent DeviceExtent(const ExecutorOptions& options, int nodes) {
  Extent extent;
  extent.rows_per_shard = options.rows_per_shard;
  extent.rows = int64_t{options.shards.size()} * options.rows_per_shard;
  extent.on_device = true;
  extent.nodes = nodes;
  extent.precision = options.precision;
  extent.products = options.products;
  return extent;
}

constexpr int64_t kWord = 4;  // bytes of Node::DeviceStaging's and DeviceConstants'

// Classes or targets, the tree, and what operations want of the batch: what a step brings beside its
// features, as it lies in staging and on the device.
struct StepInputs {
  StepInputs(const GraphModel& model, const Extent& extent, int shards, int nodes) {
    DeviceLayout constant;
    const int64_t predictions = extent.rows * model.positions();
    const bool regression = model.loss() == v1::LOSS_MEAN_SQUARED_ERROR;
    DeviceLayout layout;
    targets = layout.Add(regression ? predictions * model.outputs() * int64_t{sizeof(float)} : 0);
    classes = layout.Add(regression ? 0 : predictions * int64_t{sizeof(int32_t)});
    rows = layout.Add(shards * int64_t{sizeof(int)});
    node_end = layout.Add(nodes * int64_t{sizeof(int)});
    step = layout.Add(sizeof(int64_t));
    for (const auto& node : model.graph().nodes) {
      staging.push_back(layout.Add(node->DeviceStaging(extent) * kWord));
      constants.push_back(constant.Add(node->DeviceConstants(extent) * kWord));
    }
    bytes = layout.total();
    constant_bytes = constant.total();
  }
  int64_t targets, classes, rows, node_end, step, bytes;
  std::vector<int64_t> staging;    // of each node
  std::vector<int64_t> constants;  // the same, in a block of their own
  int64_t constant_bytes;
};

std::vector<int> NodeEnds(const ExecutorOptions& options) {
  std::vector<int> ends;
  VisitMaximalNodes(options.logical_shards, options.shards, [&](TreeNode node) {
    ends.push_back(Covered(node, options.logical_shards).end - options.shards.begin);
  });
  return ends;
}

absl::StatusOr<const GraphModel*> GraphOf(const Model& model) {
  const auto* graph_model = dynamic_cast<const GraphModel*>(&model);
  if (graph_model != nullptr) return graph_model;
  return absl::InvalidArgumentError("device executor: the model was not made by BuildModel");
}

class GraphDeviceExecutor final : public DeviceExecutor {
 public:
  GraphDeviceExecutor(std::shared_ptr<const GraphModel> model, const ExecutorOptions& options,
                      const kernels::DeviceStream& stream)
      : model_(std::move(model)),
        graph_(model_->graph()),
        stream_(stream),
        node_end_(NodeEnds(options)),
        extent_(DeviceExtent(options, nodes())),
        rounded_(options.rounded_weights),
        first_row_(int64_t{options.shards.begin} * options.rows_per_shard),
        shard_rows_(static_cast<size_t>(options.shards.size()), options.rows_per_shard),
        plan_(graph_, extent_),
        at_(*model_, extent_, options.shards.size(), nodes()),
        parts_(CutBackward(graph_, options.part_floats)),
        loss_(graph_.loss, extent_.rows * model_->positions(), model_->outputs(), options.label_smoothing),
        graphs_(stream, options.graphs) {
    tree_.rows_per_shard = options.rows_per_shard;
    tree_.nodes = nodes();
    tree_.shards = options.shards.size();
  }

  ~GraphDeviceExecutor() override {
    if (copies_.device() >= 0) (void)copies_.Wait();  // before staging goes
  }

  Bytes bytes() const {
    Bytes bytes;
    bytes.activations = DeviceAligned(4 * plan_.floats()) + DeviceAligned(4 * LossFloats());
    bytes.inputs = 2 * DeviceAligned(at_.bytes) + DeviceAligned(at_.constant_bytes) +
                   DeviceAligned(static_cast<int64_t>(FeatureBytes(extent_.rows)));
    bytes.node_sums = DeviceAligned(4 * nodes() * model_->gradient_size());
    return bytes;
  }

  absl::Status Bind(const ExecutorOptions& options, DeviceArena& arena) {
    ASSIGN_OR_RETURN(char* const memory, arena.Take(4 * plan_.floats()));
    ASSIGN_OR_RETURN(char* const of_loss, arena.Take(4 * LossFloats()));
    ASSIGN_OR_RETURN(inputs_, arena.Take(at_.bytes));
    ASSIGN_OR_RETURN(constants_, arena.Take(at_.constant_bytes));
    ASSIGN_OR_RETURN(char* const sums, arena.Take(bytes().node_sums));
    ASSIGN_OR_RETURN(brought_inputs_, arena.Take(at_.bytes));
    ASSIGN_OR_RETURN(brought_features_, arena.Take(static_cast<int64_t>(FeatureBytes(extent_.rows))));
    ASSIGN_OR_RETURN(copies_, kernels::DeviceStream::Make(stream_.device()));
    ASSIGN_OR_RETURN(staging_,
                     kernels::PinnedBlock::Allocate(stream_.device(), static_cast<size_t>(at_.bytes)));
    ASSIGN_OR_RETURN(features_, kernels::PinnedBlock::Allocate(stream_.device(), FeatureBytes(extent_.rows)));
    ASSIGN_OR_RETURN(results_, kernels::PinnedBlock::Allocate(stream_.device(), ResultBytes()));
    loss_memory_ = reinterpret_cast<float*>(of_loss);
    node_sums_ = reinterpret_cast<float*>(sums);
    tree_.rows = reinterpret_cast<const int*>(inputs_ + at_.rows);
    tree_.node_end = reinterpret_cast<const int*>(inputs_ + at_.node_end);
    std::copy(node_end_.begin(), node_end_.end(), reinterpret_cast<int*>(Staged(at_.node_end)));
    if (options.products != nullptr) {
      ASSIGN_OR_RETURN(products_, DeviceProducts::Make(options.products, options.shards.size(),
                                                       options.reproducible, stream_));
    }
    RETURN_IF_ERROR(BindOps(options, reinterpret_cast<float*>(memory)));
    RETURN_IF_ERROR(StoreConstants());
    // Nobody writes between the parameters.
    return stream_.Zero(node_sums_, static_cast<size_t>(bytes().node_sums));
  }

  int64_t plan_floats() const { return plan_.floats(); }

  // UNIMPLEMENTED: an operation has no kernel. `floats` is the plan's memory, which is not touched.
  absl::Status BindOps(const ExecutorOptions& options, float* floats) {
    input_ = floats + plan_.offset(plan_.value(graph_.input));
    output_ = floats + plan_.offset(plan_.value(graph_.output));
    additions_.resize(graph_.nodes.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = *graph_.nodes[i];
      Binding binding = BindingOf(graph_, plan_, static_cast<int>(i), extent_, options, floats);
      additions_[i] = std::move(binding.additions);
      if (inputs_ != nullptr) {
        binding.context.staging = Staged(at_.staging[i]);
        binding.context.staged = inputs_ + at_.staging[i];
        binding.context.device_constants = constants_ + at_.constants[i];
        binding.context.products = products_.get();
      }
      ops_.push_back(node.BindDevice(binding.context));
      if (ops_.back() == nullptr) {
        return absl::UnimplementedError(
            absl::StrCat(node.name(), ": a layer of kind ", node.kind(),
                         " has no kernel on a GPU yet; train this model on CPU slots (workers.device: cpu)"));
      }
    }
    return absl::OkStatus();
  }

  float* features() override { return static_cast<float*>(features_.data()); }
  int32_t* tokens() override { return static_cast<int32_t*>(features_.data()); }
  int32_t* classes() override { return reinterpret_cast<int32_t*>(Staged(at_.classes)); }
  float* targets() override { return reinterpret_cast<float*>(Staged(at_.targets)); }
  void SetRows(int local_shard, int rows) override { shard_rows_[static_cast<size_t>(local_shard)] = rows; }
  int64_t capacity() const override { return extent_.rows; }
  float* node_sums() override { return node_sums_; }
  int nodes() const override { return static_cast<int>(node_end_.size()); }
  size_t graphs() const override { return graphs_.captured(); }

  std::string products() const override { return products_ == nullptr ? std::string() : products_->device(); }
  absl::Status ChooseProducts(const float* weights, ProductChoices* choices) override {
    if (products_ == nullptr) return absl::OkStatus();
    return InATrial(weights, [&](const DevicePass& pass) { return products_->Choose(pass, choices); });
  }
  absl::Status UseProducts(const float* weights, const ProductChoices& choices) override {
    if (products_ != nullptr) {
      return InATrial(weights, [&](const DevicePass& pass) { return products_->Use(pass, choices); });
    }
    if (!choices.any()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("the job's products are done by cuBLASLt (", choices.device,
                     "), which this rank does not have: see LOCKSTEP_CUBLASLT, and what its log says above"));
  }

  absl::Status Bring(int64_t step) override {
    StageRows();
    HostBatch batch;
    batch.tokens = tokens();
    batch.tree = HostTree();
    for (const auto& op : ops_) op->Stage(batch);
    *reinterpret_cast<int64_t*>(Staged(at_.step)) = step;
    RETURN_IF_ERROR(copies_.ToDevice(brought_inputs_, staging_.data(), staging_.size()));
    RETURN_IF_ERROR(copies_.ToDevice(brought_features_, features_.data(), features_.size()));
    brought_step_ = step;
    return absl::OkStatus();
  }
  absl::Status AwaitStaging() override { return copies_.Wait(); }

  absl::Status Gradient(const float* weights, int64_t step, int batch_rows, const PartReady& ready) override {
    if (brought_step_ != step) RETURN_IF_ERROR(Bring(step));
    brought_step_ = kNone;
    RETURN_IF_ERROR(stream_.Follow(copies_));
    RETURN_IF_ERROR(stream_.OnDevice(inputs_, brought_inputs_, staging_.size()));
    RETURN_IF_ERROR(stream_.OnDevice(input_, brought_features_, features_.size()));
    RETURN_IF_ERROR(copies_.Follow(stream_));  // what was brought has been taken
    DevicePass pass = PassOf(weights);
    pass.rounded = rounded_;
    pass.training = true;
    pass.step = reinterpret_cast<const int64_t*>(inputs_ + at_.step);
    pass.first_row = first_row_;
    pass.batch_rows = batch_rows;
    const size_t stretches = ready == nullptr ? 1 : parts_.size();
    return graphs_.Run(
        {weights, batch_rows, shard_rows_, stretches},
        [&](size_t number) { return QueueStretch(pass, number, number + 1 == stretches); },
        [&](size_t number) {
          const BackwardPart& part = parts_[number];
          return ready == nullptr || part.count == 0 ? absl::OkStatus() : ready(part.begin, part.count);
        });
  }

  absl::Status Predict(const float* weights, const float* x, int rows, float* out) override {
    const int64_t width = int64_t{model_->outputs()} * model_->positions();
    return InChunks(weights, x, rows, [&](int64_t first, int64_t count) -> absl::Status {
      const auto bytes = static_cast<size_t>(count * width) * sizeof(float);
      RETURN_IF_ERROR(stream_.ToHost(results_.data(), output_, bytes));
      RETURN_IF_ERROR(stream_.Wait());
      std::memcpy(out + first * width, results_.data(), bytes);
      return absl::OkStatus();
    });
  }

  absl::Status TokenLosses(const float* weights, const int32_t* x, const int32_t* classes, int rows,
                           float* losses, float* correct) override {
    const int64_t positions = model_->positions();
    RETURN_IF_ERROR(AwaitStaging());  // the next batch may be read from it
    std::vector<int32_t> waiting(this->classes(), this->classes() + extent_.rows * positions);
    absl::Status status = InChunks(
        weights, reinterpret_cast<const float*>(x), rows, [&](int64_t first, int64_t count) -> absl::Status {
          const int64_t predictions = count * positions;
          std::copy_n(classes + first * positions, predictions, this->classes());
          RETURN_IF_ERROR(stream_.ToDevice(inputs_, staging_.data(), staging_.size()));
          RETURN_IF_ERROR(
              loss_.Losses(stream_, predictions, DeviceClasses(), nullptr, output_, loss_memory_));
          const auto bytes = static_cast<size_t>(predictions) * sizeof(float);
          auto* const result = static_cast<float*>(results_.data());
          RETURN_IF_ERROR(stream_.ToHost(result, loss_memory_, bytes));
          RETURN_IF_ERROR(stream_.ToHost(result + predictions, loss_memory_ + loss_.capacity(), bytes));
          RETURN_IF_ERROR(stream_.Wait());
          std::copy_n(result, predictions, losses + first * positions);
          std::copy_n(result + predictions, predictions, correct + first * positions);
          return absl::OkStatus();
        });
    std::copy(waiting.begin(), waiting.end(), this->classes());
    return status;
  }

 private:
  int64_t LossFloats() const {
    return DeviceLoss::MemoryOf(loss_.capacity(), Positions(tree_, model_->positions()));
  }
  size_t FeatureBytes(int64_t rows) const {
    return static_cast<size_t>(rows * model_->features()) * sizeof(float);
  }
  // Of a chunk of predictions: outputs, or losses and correct.
  size_t ResultBytes() const {
    return static_cast<size_t>(loss_.capacity() * std::max(2, model_->outputs())) * sizeof(float);
  }
  char* Staged(int64_t offset) const { return static_cast<char*>(staging_.data()) + offset; }
  const int32_t* DeviceClasses() const { return reinterpret_cast<const int32_t*>(inputs_ + at_.classes); }

  // The rows of each shard; and no class for a row that is not real.
  void StageRows() {
    std::copy(shard_rows_.begin(), shard_rows_.end(), reinterpret_cast<int*>(Staged(at_.rows)));
    if (graph_.loss == v1::LOSS_MEAN_SQUARED_ERROR) return;
    const int64_t positions = model_->positions();
    for (size_t s = 0; s < shard_rows_.size(); ++s) {
      const int64_t first = static_cast<int64_t>(s) * tree_.rows_per_shard;
      std::fill(classes() + (first + shard_rows_[s]) * positions,
                classes() + (first + tree_.rows_per_shard) * positions, -1);
    }
  }

  kernels::ShardTree HostTree() const {
    kernels::ShardTree tree;
    tree.rows_per_shard = tree_.rows_per_shard;
    tree.rows = shard_rows_.data();
    tree.nodes = nodes();
    tree.node_end = node_end_.data();
    return tree;
  }

  absl::Status StoreConstants() {
    if (at_.constant_bytes == 0) return absl::OkStatus();
    std::vector<char> host(static_cast<size_t>(at_.constant_bytes));
    for (size_t i = 0; i < ops_.size(); ++i) ops_[i]->FillConstants(host.data() + at_.constants[i]);
    RETURN_IF_ERROR(stream_.ToDevice(constants_, host.data(), host.size()));
    return stream_.Wait();
  }

  DevicePass PassOf(const float* weights) const {
    DevicePass pass;
    pass.weights = weights;
    pass.rows = extent_.rows;
    pass.tree = tree_;
    pass.shard_rows = shard_rows_.data();
    pass.node_end = node_end_.data();
    pass.node_sums = node_sums_;
    pass.gradient_size = model_->gradient_size();
    pass.stream = stream_.get();
    return pass;
  }

  // Calls use(pass) with a pass of whole shards.
  template <class Use>
  absl::Status InATrial(const float* weights, const Use& use) {
    const std::vector<int> rows =
        std::exchange(shard_rows_, std::vector<int>(shard_rows_.size(), tree_.rows_per_shard));
    std::copy(shard_rows_.begin(), shard_rows_.end(), reinterpret_cast<int*>(Staged(at_.rows)));
    RETURN_IF_ERROR(stream_.ToDevice(inputs_, staging_.data(), staging_.size()));
    DevicePass pass = PassOf(weights);
    pass.training = true;
    const absl::Status used = use(pass);
    shard_rows_ = rows;
    // Of the sums of what does not learn, nobody writes anything but this.
    RETURN_IF_ERROR(stream_.Zero(node_sums_, static_cast<size_t>(bytes().node_sums)));
    RETURN_IF_ERROR(stream_.Wait());
    return used;
  }

  absl::Status Forward(const DevicePass& pass) {
    for (size_t i = 0; i < ops_.size(); ++i) {
      RETURN_IF_ERROR(Annotate(ToStatus(ops_[i]->Forward(pass)), graph_.nodes[i]->name()));
    }
    return absl::OkStatus();
  }

  // Part `number` of the backward pass, and before the first what leads to it.
  absl::Status QueueStretch(const DevicePass& pass, size_t number, bool last) {
    if (number == 0) RETURN_IF_ERROR(ForwardAndLoss(pass));
    const size_t end = number == 0 ? ops_.size() : parts_[number - 1].first_node;
    const size_t begin = last ? 0 : parts_[number].first_node;
    for (size_t node = end; node-- > begin;) RETURN_IF_ERROR(Backward(pass, node));
    return absl::OkStatus();
  }

  absl::Status ForwardAndLoss(const DevicePass& pass) {
    RETURN_IF_ERROR(Forward(pass));
    const float scale =
        1.0f / (static_cast<float>(pass.batch_rows) * static_cast<float>(model_->positions()));
    return loss_.Run(stream_, Positions(tree_, model_->positions()), shard_rows_, scale, DeviceClasses(),
                     reinterpret_cast<const float*>(inputs_ + at_.targets), output_, loss_memory_,
                     node_sums_ + graph_.flat_size, pass.gradient_size);
  }

  absl::Status Backward(const DevicePass& pass, size_t node) {
    if (!plan_.node(static_cast<int>(node)).backward) return absl::OkStatus();
    RETURN_IF_ERROR(Annotate(ToStatus(ops_[node]->Backward(pass)), graph_.nodes[node]->name()));
    for (const Addition& addition : additions_[node]) {
      RETURN_IF_ERROR(
          ToStatus(kernels::cuda::TreeAddInto(addition.count, addition.from, addition.to, stream_.get())));
    }
    return absl::OkStatus();
  }

  // Runs the forward pass over `rows` of x, as many at a time as there is room for, then use(first, count).
  // Staging is not touched: it may hold the next batch.
  template <class Use>
  absl::Status InChunks(const float* weights, const float* x, int rows, const Use& use) {
    for (int64_t first = 0; first < rows; first += extent_.rows) {
      const int64_t count = std::min<int64_t>(extent_.rows, rows - first);
      RETURN_IF_ERROR(stream_.ToDevice(input_, x + first * model_->features(), FeatureBytes(count)));
      DevicePass pass = PassOf(weights);
      pass.rows = count;  // a shard's part of a small dataset is less than a batch
      RETURN_IF_ERROR(Forward(pass));
      RETURN_IF_ERROR(use(first, count));
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<const GraphModel> model_;
  const Graph& graph_;
  const kernels::DeviceStream& stream_;
  const std::vector<int> node_end_;
  const Extent extent_;
  const uint16_t* const rounded_;
  const int64_t first_row_;  // of the whole batch
  std::vector<int> shard_rows_;
  const ExecutionPlan plan_;
  const StepInputs at_;
  const std::vector<BackwardPart> parts_;
  const DeviceLoss loss_;
  kernels::DeviceTree tree_;
  kernels::PinnedBlock staging_, features_, results_;
  kernels::DeviceStream copies_;  // of staging, to where the step before does not read
  char *inputs_ = nullptr, *constants_ = nullptr, *brought_inputs_ = nullptr, *brought_features_ = nullptr;
  static constexpr int64_t kNone = -1;
  int64_t brought_step_ = kNone;
  float *input_ = nullptr, *output_ = nullptr, *loss_memory_ = nullptr, *node_sums_ = nullptr;
  std::unique_ptr<DeviceProducts> products_;
  std::vector<std::unique_ptr<DeviceOp>> ops_;
  std::vector<std::vector<Addition>> additions_;  // by node
  StepGraphs graphs_;
};

}  // namespace

absl::StatusOr<DeviceExecutor::Bytes> DeviceExecutor::BytesOf(const Model& model,
                                                              const ExecutorOptions& options) {
  ASSIGN_OR_RETURN(const GraphModel* const graph_model, GraphOf(model));
  const std::shared_ptr<const GraphModel> borrowed(std::shared_ptr<void>(), graph_model);
  const kernels::DeviceStream none;
  return GraphDeviceExecutor(borrowed, options, none).bytes();
}

absl::Status DeviceExecutor::Check(std::shared_ptr<const Model> model, const ExecutorOptions& options) {
  RETURN_IF_ERROR(GraphOf(*model).status());
  const kernels::DeviceStream none;
  GraphDeviceExecutor executor(std::static_pointer_cast<const GraphModel>(std::move(model)), options, none);
  const std::unique_ptr<float[]> memory(new float[static_cast<size_t>(executor.plan_floats())]);
  return executor.BindOps(options, memory.get());
}

absl::StatusOr<std::unique_ptr<DeviceExecutor>> DeviceExecutor::Make(std::shared_ptr<const Model> model,
                                                                     const v1::JobSpec& spec,
                                                                     const ExecutorOptions& options,
                                                                     DeviceArena& arena,
                                                                     const kernels::DeviceStream& stream) {
  RETURN_IF_ERROR(GraphOf(*model).status());
  ExecutorOptions complete = options;
  complete.label_smoothing = spec.train().label_smoothing();
  auto executor = std::make_unique<GraphDeviceExecutor>(
      std::static_pointer_cast<const GraphModel>(std::move(model)), complete, stream);
  RETURN_IF_ERROR(executor->Bind(complete, arena));
  return executor;
}

}  // namespace lockstep::engine
