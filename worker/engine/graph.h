// A model as a graph of operations with static shapes. GraphBuilder (used by worker/models) lists the nodes
// in the order of the forward pass; backward is the same list from the end. A value is a matrix: one row for
// each sample, and a shape for what a row holds. A Graph is immutable and shared by all executors of a model;
// an executor binds each Node to an Op, which holds buffers and does the work.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/engine/engine.h"

namespace lockstep::engine {

class Op;
class OpContext;

struct Value {
  std::vector<int64_t> shape;  // of one row
  int64_t width = 0;           // its elements
};

// What a parameter starts from.
struct Initializer {
  double bound = 0;  // uniform in (-bound, bound)
};

// One operation: what it needs planned, and how to make it run. Immutable.
class Node {
 public:
  virtual ~Node() = default;
  virtual std::string name() const = 0;
  // Which of its values backward reads; the others' memory is free for reuse by then.
  virtual bool backward_reads_input() const = 0;
  virtual bool backward_reads_output() const = 0;
  // Floats of private memory, live from this node's forward to its backward.
  virtual int64_t workspace(int64_t rows) const = 0;
  virtual std::unique_ptr<Op> Bind(const OpContext& context) const = 0;

  int input = 0;   // value; each value has one consumer
  int output = 0;  // value
};

struct Graph {
  std::vector<Value> values;
  std::vector<std::unique_ptr<Node>> nodes;  // forward order
  std::vector<Parameter> parameters;         // backward order, offsets laid out
  std::vector<Initializer> initializers;     // one for each parameter
  int64_t flat_size = 0;
  int input = 0;
  int output = 0;
  v1::Loss loss = v1::LOSS_UNSPECIFIED;  // CROSS_ENTROPY or MEAN_SQUARED_ERROR
};

class GraphBuilder {
 public:
  // The input value.
  explicit GraphBuilder(std::vector<int64_t> input_shape);

  // Appends `node`, which reads `input`; returns its output value of this shape.
  int Append(std::unique_ptr<Node> node, int input, std::vector<int64_t> shape);
  // Declares a parameter; returns its number, which is valid in OpContext::parameter.
  int AddParameter(std::string name, std::vector<int64_t> shape, bool decays, Initializer initializer);

  int input() const { return 0; }
  int64_t width(int value) const { return graph_.values[value].width; }
  const std::vector<int64_t>& shape(int value) const { return graph_.values[value].shape; }

  // Lays the parameters out (last declared node first, each at a multiple of 16 floats) and hands out the
  // model.
  std::shared_ptr<const Model> Build(int output, v1::Loss loss) &&;

 private:
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
  int outputs() const override { return static_cast<int>(graph_.values[graph_.output].width); }
  void Initialize(uint64_t seed, float* weights) const override;
  const Graph& graph() const { return graph_; }

 private:
  Graph graph_;
};

}  // namespace lockstep::engine
