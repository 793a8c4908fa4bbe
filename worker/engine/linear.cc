#include "worker/engine/linear.h"

#include <cmath>
#include <utility>

#include "kernels/gemm.h"
#include "kernels/shard_outer.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;

struct LinearShape {
  int64_t inputs = 0, outputs = 0;
  Activation activation = Activation::kIdentity;
  int weight = 0, bias = 0;  // parameter numbers
};

int64_t Padded(int64_t floats) { return (floats + 15) / 16 * 16; }

class LinearOp final : public Op {
 public:
  LinearOp(const LinearShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        weight_(context.parameter(shape.weight).offset),
        bias_(context.parameter(shape.bias).offset),
        transposed_(context.workspace),
        // Without a buffer of its own the product goes straight to the output.
        product_(kernels::SavesInput(shape.activation)
                     ? context.workspace + Padded(shape.inputs * shape.outputs)
                     : context.output) {
    const RowInvariance forward =
        CheckRowInvariance(context.rows, context.rows_per_shard, shape.outputs, shape.inputs);
    const RowInvariance backward =
        CheckRowInvariance(context.rows, context.rows_per_shard, shape.inputs, shape.outputs);
    forward_call_ = forward.shards ? context.rows : context.rows_per_shard;
    backward_call_ = backward.shards ? context.rows : context.rows_per_shard;
    predict_call_ = forward.rows ? context.rows : 1;
  }

  void Forward(const Pass& pass) override {
    kernels::cpu::Transpose(shape_.outputs, shape_.inputs, pass.weights + weight_, transposed_);
    GemmInCalls(pass.rows, pass.training ? forward_call_ : predict_call_, shape_.outputs, shape_.inputs,
                context_.input, transposed_, product_);
    kernels::cpu::BiasActivationForward(shape_.activation, pass.rows, shape_.outputs, pass.weights + bias_,
                                        product_, context_.output);
  }

  void Backward(const Pass& pass) override {
    float* gradient = context_.output_gradient;
    if (shape_.activation != Activation::kIdentity) {
      const float* saved = kernels::SavesInput(shape_.activation) ? product_ : context_.output;
      kernels::cpu::ActivationBackward(shape_.activation, pass.rows * shape_.outputs, saved, gradient,
                                       gradient);
    }
    kernels::cpu::ShardOuterProduct(*pass.tree, shape_.outputs, shape_.inputs, gradient, shape_.outputs,
                                    context_.input, shape_.inputs, pass.node_sums + weight_,
                                    pass.gradient_size);
    kernels::cpu::ShardColumnSum(*pass.tree, shape_.outputs, gradient, shape_.outputs, pass.node_sums + bias_,
                                 pass.gradient_size);
    if (context_.input_gradient != nullptr) {
      GemmInCalls(pass.rows, backward_call_, shape_.inputs, shape_.outputs, gradient, pass.weights + weight_,
                  context_.input_gradient);
    }
  }

 private:
  const LinearShape shape_;
  const OpContext context_;
  const int64_t weight_, bias_;                                      // offsets in the flat buffer
  float* const transposed_;                                          // (inputs, outputs)
  float* const product_;                                             // (rows, outputs)
  int64_t forward_call_ = 0, backward_call_ = 0, predict_call_ = 0;  // rows per matrix product
};

class LinearNode final : public Node {
 public:
  LinearNode(std::string name, const LinearShape& shape) : name_(std::move(name)), shape_(shape) {}
  std::string name() const override { return name_; }
  bool backward_reads_input() const override { return true; }
  bool backward_reads_output() const override {
    return shape_.activation != Activation::kIdentity && !kernels::SavesInput(shape_.activation);
  }
  int64_t workspace(int64_t rows) const override {
    return Padded(shape_.inputs * shape_.outputs) +
           (kernels::SavesInput(shape_.activation) ? rows * shape_.outputs : 0);
  }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<LinearOp>(shape_, context);
  }

 private:
  const std::string name_;
  const LinearShape shape_;
};

}  // namespace

int AppendLinear(GraphBuilder& builder, const std::string& name, int input, int64_t outputs,
                 Activation activation) {
  const int64_t inputs = builder.width(input);
  const Initializer initializer{1.0 / std::sqrt(static_cast<double>(inputs))};
  LinearShape shape{inputs, outputs, activation, 0, 0};
  shape.weight = builder.AddParameter(name + ".weight", {outputs, inputs}, true, initializer);
  shape.bias = builder.AddParameter(name + ".bias", {outputs}, false, initializer);
  return builder.Append(std::make_unique<LinearNode>(name, shape), input, {outputs});
}

}  // namespace lockstep::engine
