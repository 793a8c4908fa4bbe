// A model as an acyclic graph of operations with static shapes. GraphBuilder (used by worker/models) lists
// the nodes in the order of the forward pass; backward is the same list from the end. A value is one row for
// each sample, and a shape for what a row holds: (features), (height, width, channels), (steps, channels), or
// (steps) tokens. A Graph is immutable and shared by all executors of a model; an executor binds each Node to
// an Op, which holds buffers and does the work.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/engine/engine.h"

namespace lockstep::engine {

class DeviceOp;
class Op;
class OpContext;

struct Value {
  std::vector<int64_t> shape;  // of one row
  int64_t width = 0;           // its elements
  bool tokens = false;         // int32 instead of float32; has no gradient
};

// What a parameter starts from; all a pure function of the job's seed and the parameter's number.
struct Initializer {
  enum Kind { kUniform, kNormal, kConstant };
  double value = 0;  // uniform in (-value, value), normal with this deviation, or the constant
  Kind kind = kUniform;
};

// What an executor needs to know to plan memory.
struct Extent {
  int64_t rows = 0;  // capacity
  int64_t rows_per_shard = 0;
  int threads = 1;
  bool on_device = false;
  int nodes = 1;  // of the reduction tree, that the rank sums
  Precision precision = Precision::kFp32;
  const kernels::LtLibrary* products = nullptr;  // as ExecutorOptions
};

// One operation: what it needs planned, and how to make it run. Immutable.
class Node {
 public:
  virtual ~Node() = default;
  virtual std::string name() const = 0;  // "layers.0", unique in the graph
  virtual std::string kind() const = 0;  // "linear"
  // Which of its values backward reads; the others' memory is free for reuse by then.
  virtual bool BackwardReadsInput(int /*input*/) const { return false; }
  virtual bool BackwardReadsOutput() const { return false; }
  // May Backward leave something else in output_gradient?
  virtual bool OverwritesOutputGradient() const { return false; }
  // Does Backward heed InputGradient::add? Where not, the executor adds.
  virtual bool AddsInputGradient() const { return false; }
  // The gradient of each input is the output's, element for element (add, reshape): the executor lets them
  // share memory where it can, and then sets InputGradient::data to null.
  virtual bool PassesGradient() const { return false; }
  // Floats of private memory, live from this node's forward to its backward.
  virtual int64_t Workspace(const Extent&) const { return 0; }
  // Floats of private memory, live during Forward and, with other content, during Backward.
  virtual int64_t Scratch(const Extent&) const { return 0; }
  // On a GPU: 4-byte words of its memory that DeviceOp::FillConstants fills once, and that DeviceOp::Stage
  // fills for each batch.
  virtual int64_t DeviceConstants(const Extent&) const { return 0; }
  virtual int64_t DeviceStaging(const Extent&) const { return 0; }
  // Multiplications and additions of the forward pass, for one row.
  virtual double Flops() const { return 0; }
  virtual std::unique_ptr<Op> Bind(const OpContext& context) const = 0;
  // The same on a GPU, whose memory `context` names; null: there is no such kernel yet.
  virtual std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const;

  std::vector<int> inputs;  // values
  int output = 0;           // value
  std::vector<int> parameters;
  int kept =
      -1;  // a later value that Backward reads (OpContext::kept), with the gradient of the graph's output
};

struct Graph {
  std::vector<Value> values;
  std::vector<std::unique_ptr<Node>> nodes;  // forward order
  std::vector<Parameter> parameters;         // in order of declaration, offsets laid out
  std::vector<Initializer> initializers;     // one for each parameter
  int64_t flat_size = 0;
  int input = 0;
  int output = 0;
  v1::Loss loss = v1::LOSS_UNSPECIFIED;  // CROSS_ENTROPY, MEAN_SQUARED_ERROR or HINGE
};

class GraphBuilder {
 public:
  // The input value; of tokens, its shape is (steps).
  explicit GraphBuilder(std::vector<int64_t> input_shape, bool tokens = false);

  // Appends `node`, which reads `inputs` and owns `parameters`; returns its output value of this shape.
  int Append(std::unique_ptr<Node> node, std::vector<int> inputs, std::vector<int64_t> shape,
             std::vector<int> parameters = {});
  // Declares a parameter; returns its number, which is valid in OpContext::parameter.
  int AddParameter(std::string name, std::vector<int64_t> shape, bool decays, Initializer initializer);
  // Declares a statistic: not trained; each step moves it by `momentum` towards the batch's (see
  // Parameter::momentum).
  int AddStatistic(std::string name, std::vector<int64_t> shape, double momentum, double first_value);

  // Lets Backward of the node that made `output` read `value` and the gradient of the graph's output: a table
  // that is also the output layer's weight.
  void KeepForBackward(int output, int value);

  int input() const { return 0; }
  int64_t width(int value) const { return graph_.values[value].width; }
  const std::vector<int64_t>& shape(int value) const { return graph_.values[value].shape; }
  bool tokens(int value) const { return graph_.values[value].tokens; }
  const std::vector<int64_t>& parameter_shape(int number) const { return graph_.parameters[number].shape; }

  // Lays the parameters out (last declared first, each at a multiple of 16 floats) and hands out the model.
  std::shared_ptr<const Model> Build(int output, v1::Loss loss) &&;

 private:
  int OutputForLoss(int output);

  Graph graph_;
};

// The model that GraphBuilder makes.
class GraphModel final : public Model {
 public:
  explicit GraphModel(Graph graph) : graph_(std::move(graph)) {}
  const std::vector<Parameter>& parameters() const override { return graph_.parameters; }
  int64_t flat_size() const override { return graph_.flat_size; }
  int64_t parameter_count() const override;
  int features() const override { return static_cast<int>(graph_.values[graph_.input].width); }
  int outputs() const override { return static_cast<int>(graph_.values[graph_.output].shape.back()); }
  int positions() const override;
  bool reads_tokens() const override { return graph_.values[graph_.input].tokens; }
  v1::Loss loss() const override { return graph_.loss; }
  std::vector<LayerSummary> Layers() const override;
  void Initialize(uint64_t seed, float* weights) const override;
  const Graph& graph() const { return graph_; }

 private:
  Graph graph_;
};

}  // namespace lockstep::engine
