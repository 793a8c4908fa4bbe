#include "worker/engine/recurrent.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/recurrent_cell.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"
#include "worker/engine/products.h"

namespace lockstep::engine {
namespace {

int64_t Padded(int64_t floats) { return (floats + 15) / 16 * 16; }

// The steps of a sample follow each other, and a member owns samples: it runs all steps of its own without
// waiting for the others. Only the products over all steps are shared by rectangles.
class RecurrentOp final : public Op {
 public:
  RecurrentOp(const RecurrentShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        type_(TypeOf(context.precision)),
        weight_ih_(context.parameter(shape.weight_ih).offset),
        weight_hh_(context.parameter(shape.weight_hh).offset),
        bias_ih_(context.parameter(shape.bias_ih).offset),
        bias_hh_(context.parameter(shape.bias_hh).offset) {
    const int64_t states = context.rows * shape.steps * shape.hidden;
    const int64_t all_gates = context.rows * shape.steps * shape.gates();
    gates_ = context.workspace;
    second_ = gates_ + Padded(all_gates);
    before_ = context.scratch;
    from_next_ = before_ + Padded(states);
    carry_ = from_next_ + Padded(context.rows * shape.hidden);
    step_product_ = carry_ + Padded(context.rows * shape.hidden);
    products_ = step_product_ + (shape.lstm() ? Padded(context.rows * shape.gates()) : 0);
    cell_.hidden = shape.hidden;
    cell_.gates_stride = shape.steps * shape.gates();
    cell_.recurrent_stride = shape.lstm() ? shape.gates() : shape.steps * shape.gates();
    cell_.state_stride = shape.steps * shape.hidden;
  }

  static int64_t Workspace(const RecurrentShape& shape, const Extent& extent) {
    const int64_t steps = extent.rows * shape.steps;
    return Padded(steps * shape.gates()) + steps * (shape.lstm() ? shape.hidden : shape.gates());
  }
  static int64_t Scratch(const RecurrentShape& shape, const Extent& extent) {
    return Padded(extent.rows * shape.steps * shape.hidden) + 2 * Padded(extent.rows * shape.hidden) +
           (shape.lstm() ? Padded(extent.rows * shape.gates()) : 0) +
           extent.threads * ProductScratch(extent.rows * shape.steps);
  }

  void Forward(const Pass& pass, const Member& member) override {
    kernels::GemmArguments input;
    input.m = pass.rows * shape_.steps;
    input.n = shape_.gates();
    input.k = shape_.inputs;
    input.a = context_.input();
    input.lda = shape_.inputs;
    pass.TakeWeights(weight_ih_, &input);
    input.ldb = shape_.inputs;
    input.b_transposed = true;
    input.c = gates_;
    input.ldc = shape_.gates();
    SharedGemm(member, type_, input, ScratchOf(member));
    member.Barrier();
    const Range rows = member.Share(pass.rows);
    if (rows.empty()) return;
    for (int64_t t = 0; t < shape_.steps; ++t) ForwardStep(pass, member, rows, t);
  }

  void Backward(const Pass& pass, const Member& member) override {
    const Range rows = member.Share(pass.rows);
    std::fill(carry_ + rows.begin * shape_.hidden, carry_ + rows.end * shape_.hidden, 0.0f);
    for (int64_t t = shape_.steps - 1; t >= 0 && !rows.empty(); --t) BackwardStep(pass, member, rows, t);
    // What each step saw of the step before it.
    const int64_t width = shape_.steps * shape_.hidden;
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      std::fill_n(before_ + r * width, shape_.hidden, 0.0f);
      std::memcpy(before_ + r * width + shape_.hidden, context_.output + r * width,
                  static_cast<size_t>(width - shape_.hidden) * sizeof(float));
    }
    member.Barrier();

    const float* recurrent = shape_.lstm() ? gates_ : second_;  // gradients of the two products
    WeightGradient(pass, member, gates_, context_.input(), shape_.inputs, weight_ih_);
    WeightGradient(pass, member, recurrent, before_, shape_.hidden, weight_hh_);
    BiasGradient(pass, member, gates_, bias_ih_);
    BiasGradient(pass, member, recurrent, bias_hh_);
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return;
    kernels::GemmArguments input;
    input.m = pass.rows * shape_.steps;
    input.n = shape_.inputs;
    input.k = shape_.gates();
    input.a = gates_;
    input.lda = shape_.gates();
    pass.TakeWeights(weight_ih_, &input);
    input.ldb = shape_.inputs;
    input.c = dx.data;
    input.ldc = shape_.inputs;
    input.add = dx.add;
    SharedGemm(member, type_, input, ScratchOf(member));
  }

 private:
  float* ScratchOf(const Member& member) const {
    return products_ + member.index * ProductScratch(context_.rows * shape_.steps);
  }
  // Step t of a buffer of all steps; null before the first step.
  float* States(float* buffer, int64_t t) const { return t < 0 ? nullptr : buffer + t * shape_.hidden; }
  float* Gates(float* buffer, int64_t t) const { return buffer + t * shape_.gates(); }

  void ForwardStep(const Pass& pass, const Member& member, const Range& rows, int64_t t) {
    float* const h = States(context_.output, t);
    float* const h_before = States(context_.output, t - 1);
    float* const product = shape_.lstm() ? step_product_ : Gates(second_, t);
    if (t > 0) {
      kernels::GemmArguments step;
      step.m = rows.end - rows.begin;
      step.n = shape_.gates();
      step.k = shape_.hidden;
      step.a = h_before + rows.begin * cell_.state_stride;
      step.lda = cell_.state_stride;
      pass.TakeWeights(weight_hh_, &step);
      step.ldb = shape_.hidden;
      step.b_transposed = true;
      step.c = product + rows.begin * cell_.recurrent_stride;
      step.ldc = cell_.recurrent_stride;
      kernels::cpu::Gemm(type_, step, ScratchOf(member));
    }
    const float* bias_ih = pass.weights + bias_ih_;
    const float* bias_hh = pass.weights + bias_hh_;
    if (shape_.lstm()) {
      kernels::cpu::LstmCellForward(cell_, rows.begin, rows.end, bias_ih, bias_hh, product,
                                    States(second_, t - 1), Gates(gates_, t), States(second_, t), h);
    } else {
      kernels::cpu::GruCellForward(cell_, rows.begin, rows.end, bias_ih, bias_hh, h_before, Gates(gates_, t),
                                   product, h);
    }
  }

  void BackwardStep(const Pass& pass, const Member& member, const Range& rows, int64_t t) {
    const float* next = t + 1 < shape_.steps ? from_next_ : nullptr;
    const float* dy = States(context_.output_gradient, t);
    if (shape_.lstm()) {
      kernels::cpu::LstmCellBackward(cell_, rows.begin, rows.end, States(second_, t - 1), States(second_, t),
                                     dy, next, carry_, Gates(gates_, t));
    } else {
      kernels::cpu::GruCellBackward(cell_, rows.begin, rows.end, States(context_.output, t - 1), dy, next,
                                    carry_, Gates(gates_, t), Gates(second_, t));
    }
    if (t == 0) return;
    kernels::GemmArguments step;
    step.m = rows.end - rows.begin;
    step.n = shape_.hidden;
    step.k = shape_.gates();
    step.a = Gates(shape_.lstm() ? gates_ : second_, t) + rows.begin * cell_.gates_stride;
    step.lda = cell_.gates_stride;
    pass.TakeWeights(weight_hh_, &step);
    step.ldb = shape_.hidden;
    step.c = from_next_ + rows.begin * shape_.hidden;
    step.ldc = shape_.hidden;
    kernels::cpu::Gemm(type_, step, ScratchOf(member));
  }

  void WeightGradient(const Pass& pass, const Member& member, const float* gates, const float* x,
                      int64_t inputs, int64_t offset) const {
    kernels::OuterProduct product;
    product.m = shape_.gates();
    product.n = inputs;
    product.a = gates;
    product.lda = shape_.gates();
    product.b = x;
    product.ldb = inputs;
    product.out = pass.node_sums + offset;
    product.node_stride = pass.gradient_size;
    SharedOuterProduct(member, type_, Positions(*pass.tree, shape_.steps), product, ScratchOf(member));
  }

  void BiasGradient(const Pass& pass, const Member& member, const float* gates, int64_t offset) const {
    const Range columns = member.Share(shape_.gates(), 16);
    kernels::cpu::ShardColumnSum(Positions(*pass.tree, shape_.steps), columns.begin, columns.end, gates,
                                 shape_.gates(), pass.node_sums + offset, pass.gradient_size);
  }

  const RecurrentShape shape_;
  const OpContext context_;
  const kernels::GemmType type_;
  const int64_t weight_ih_, weight_hh_, bias_ih_, bias_hh_;  // offsets in the flat buffer
  kernels::RecurrentCell cell_;
  float* gates_;         // (rows, steps, gates): activations, then gradients
  float* second_;        // LSTM: c (rows, steps, hidden); GRU: the recurrent products (rows, steps, gates)
  float* before_;        // (rows, steps, hidden): h of the step before
  float* from_next_;     // (rows, hidden)
  float* carry_;         // (rows, hidden)
  float* step_product_;  // LSTM: (rows, gates)
  float* products_;
};

class RecurrentNode final : public Node {
 public:
  RecurrentNode(std::string name, const RecurrentShape& shape) : name_(std::move(name)), shape_(shape) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return shape_.lstm() ? "lstm" : "gru"; }
  bool BackwardReadsInput(int) const override { return true; }
  bool BackwardReadsOutput() const override { return true; }
  bool AddsInputGradient() const override { return true; }
  int64_t Workspace(const Extent& extent) const override { return RecurrentOp::Workspace(shape_, extent); }
  int64_t Scratch(const Extent& extent) const override {
    return extent.on_device ? DeviceRecurrentScratch(shape_, extent) : RecurrentOp::Scratch(shape_, extent);
  }
  double Flops() const override {
    return 2.0 * static_cast<double>(shape_.steps * shape_.gates()) *
           static_cast<double>(shape_.inputs + shape_.hidden);
  }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<RecurrentOp>(shape_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceRecurrent(shape_, context);
  }

 private:
  const std::string name_;
  const RecurrentShape shape_;
};

}  // namespace

int AppendRecurrent(GraphBuilder& builder, RecurrentKind kind, const std::string& name, int layer, int input,
                    int64_t hidden, const std::string& node) {
  RecurrentShape shape;
  shape.kind = kind;
  shape.steps = builder.shape(input)[0];
  shape.inputs = builder.shape(input)[1];
  shape.hidden = hidden;
  const Initializer uniform{1.0 / std::sqrt(static_cast<double>(hidden)), Initializer::kUniform};
  const std::string suffix = "_l" + std::to_string(layer);
  const auto add = [&](const char* what, std::vector<int64_t> extent, bool decays) {
    return builder.AddParameter(name + "." + what + suffix, std::move(extent), decays, uniform);
  };
  shape.weight_ih = add("weight_ih", {shape.gates(), shape.inputs}, true);
  shape.weight_hh = add("weight_hh", {shape.gates(), hidden}, true);
  shape.bias_ih = add("bias_ih", {shape.gates()}, false);
  shape.bias_hh = add("bias_hh", {shape.gates()}, false);
  return builder.Append(std::make_unique<RecurrentNode>(node.empty() ? name + suffix : node, shape), {input},
                        {shape.steps, hidden},
                        {shape.weight_ih, shape.weight_hh, shape.bias_ih, shape.bias_hh});
}

}  // namespace lockstep::engine
