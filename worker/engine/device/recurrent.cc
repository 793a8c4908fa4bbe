#include "worker/engine/recurrent.h"

#include <algorithm>

#include "kernels/cuda/arrange.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/recurrent_cell.h"
#include "kernels/cuda/shard_outer.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/products.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;

int64_t WholeLines(int64_t floats) { return (floats + 15) / 16 * 16; }

// The steps one after another, all samples at once; the products over all steps together.
class DeviceRecurrent final : public DeviceOp {
 public:
  DeviceRecurrent(const RecurrentShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        type_(TypeOf(context.precision)),
        weight_ih_(context.parameter(shape.weight_ih).offset),
        weight_hh_(context.parameter(shape.weight_hh).offset),
        bias_ih_(context.parameter(shape.bias_ih).offset),
        bias_hh_(context.parameter(shape.bias_hh).offset),
        gates_(context.workspace),
        second_(gates_ + WholeLines(context.rows * shape.steps * shape.gates())),
        before_(context.scratch),
        from_next_(before_ + WholeLines(context.rows * shape.steps * shape.hidden)),
        carry_(from_next_ + WholeLines(context.rows * shape.hidden)),
        step_product_(carry_ + WholeLines(context.rows * shape.hidden)),
        sums_(step_product_ + (shape.lstm() ? WholeLines(context.rows * shape.gates()) : 0)) {
    cell_.hidden = shape.hidden;
    cell_.gates_stride = shape.steps * shape.gates();
    cell_.recurrent_stride = shape.lstm() ? shape.gates() : shape.steps * shape.gates();
    cell_.state_stride = shape.steps * shape.hidden;
  }

  Launched Forward(const DevicePass& pass) override {
    RETURN_IF_NOT_LAUNCHED(
        Multiply(pass, weight_ih_,
                 {pass.rows * shape_.steps, shape_.gates(), shape_.inputs, context_.input(), shape_.inputs,
                  nullptr, shape_.inputs, true, gates_, shape_.gates(), false}));
    for (int64_t t = 0; t < shape_.steps; ++t) RETURN_IF_NOT_LAUNCHED(ForwardStep(pass, t));
    return {};
  }

  Launched Backward(const DevicePass& pass) override {
    const int64_t states = pass.rows * shape_.hidden, width = shape_.steps * shape_.hidden;
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::ZeroBlocks(1, states, carry_, states, pass.stream));
    for (int64_t t = shape_.steps - 1; t >= 0; --t) RETURN_IF_NOT_LAUNCHED(BackwardStep(pass, t));
    // What each step saw of the step before it.
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::ZeroBlocks(pass.rows, shape_.hidden, before_, width, pass.stream));
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::CopyBlocks(pass.rows, width - shape_.hidden, context_.output, width,
                                                     false, before_ + shape_.hidden, width, pass.stream));

    const float* const recurrent = shape_.lstm() ? gates_ : second_;  // gradients of the two products
    RETURN_IF_NOT_LAUNCHED(WeightGradient(pass, gates_, context_.input(), shape_.inputs, weight_ih_));
    RETURN_IF_NOT_LAUNCHED(WeightGradient(pass, recurrent, before_, shape_.hidden, weight_hh_));
    RETURN_IF_NOT_LAUNCHED(BiasGradient(pass, gates_, bias_ih_));
    RETURN_IF_NOT_LAUNCHED(BiasGradient(pass, recurrent, bias_hh_));
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    return Multiply(pass, weight_ih_,
                    {pass.rows * shape_.steps, shape_.inputs, shape_.gates(), gates_, shape_.gates(), nullptr,
                     shape_.inputs, false, dx.data, shape_.inputs, dx.add});
  }

 private:
  // Step t of a buffer of all steps; null before the first step.
  float* States(float* buffer, int64_t t) const { return t < 0 ? nullptr : buffer + t * shape_.hidden; }
  float* Gates(float* buffer, int64_t t) const { return buffer + t * shape_.gates(); }

  // `product` with the weight at `offset` as its b.
  Launched Multiply(const DevicePass& pass, int64_t offset, kernels::GemmArguments product) const {
    pass.TakeWeights(offset, &product);
    return kernels::cuda::Gemm(type_, product, pass.stream);
  }

  Launched ForwardStep(const DevicePass& pass, int64_t t) const {
    float* const h_before = States(context_.output, t - 1);
    float* const product = shape_.lstm() ? step_product_ : Gates(second_, t);
    if (t > 0) {
      RETURN_IF_NOT_LAUNCHED(
          Multiply(pass, weight_hh_,
                   {pass.rows, shape_.gates(), shape_.hidden, h_before, cell_.state_stride, nullptr,
                    shape_.hidden, true, product, cell_.recurrent_stride, false}));
    }
    const float* const bias_ih = pass.weights + bias_ih_;
    const float* const bias_hh = pass.weights + bias_hh_;
    float* const h = States(context_.output, t);
    if (shape_.lstm()) {
      return kernels::cuda::LstmCellForward(cell_, pass.rows, bias_ih, bias_hh, t > 0 ? product : nullptr,
                                            States(second_, t - 1), Gates(gates_, t), States(second_, t), h,
                                            pass.stream);
    }
    return kernels::cuda::GruCellForward(cell_, pass.rows, bias_ih, bias_hh, h_before, Gates(gates_, t),
                                         product, h, pass.stream);
  }

  Launched BackwardStep(const DevicePass& pass, int64_t t) const {
    const float* const next = t + 1 < shape_.steps ? from_next_ : nullptr;
    const float* const dy = States(context_.output_gradient, t);
    if (shape_.lstm()) {
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::LstmCellBackward(cell_, pass.rows, States(second_, t - 1),
                                                             States(second_, t), dy, next, carry_,
                                                             Gates(gates_, t), pass.stream));
    } else {
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::GruCellBackward(cell_, pass.rows, States(context_.output, t - 1),
                                                            dy, next, carry_, Gates(gates_, t),
                                                            Gates(second_, t), pass.stream));
    }
    if (t == 0) return {};
    return Multiply(pass, weight_hh_,
                    {pass.rows, shape_.hidden, shape_.gates(), Gates(shape_.lstm() ? gates_ : second_, t),
                     cell_.gates_stride, nullptr, shape_.hidden, false, from_next_, shape_.hidden, false});
  }

  Launched WeightGradient(const DevicePass& pass, const float* gates, const float* x, int64_t inputs,
                          int64_t offset) const {
    kernels::OuterProduct product;
    product.m = shape_.gates();
    product.n = inputs;
    product.a = gates;
    product.lda = shape_.gates();
    product.b = x;
    product.ldb = inputs;
    product.out = pass.node_sums + offset;
    product.node_stride = pass.gradient_size;
    return kernels::cuda::ShardOuterProduct(type_, Positions(pass.tree, shape_.steps), product, sums_,
                                            pass.stream);
  }

  Launched BiasGradient(const DevicePass& pass, const float* gates, int64_t offset) const {
    return kernels::cuda::ShardColumnSum(Positions(pass.tree, shape_.steps), shape_.gates(), gates,
                                         shape_.gates(), pass.node_sums + offset, pass.gradient_size, sums_,
                                         pass.stream);
  }

  const RecurrentShape shape_;
  const OpContext context_;
  const kernels::GemmType type_;
  const int64_t weight_ih_, weight_hh_, bias_ih_, bias_hh_;  // offsets in the flat buffer
  kernels::RecurrentCell cell_;
  float* const gates_;      // (rows, steps, gates): activations, then gradients
  float* const second_;     // LSTM: c (rows, steps, hidden); GRU: the recurrent products (rows, steps, gates)
  float* const before_;     // (rows, steps, hidden): h of the step before
  float* const from_next_;  // (rows, hidden)
  float* const carry_;      // (rows, hidden)
  float* const step_product_;  // LSTM: (rows, gates)
  float* const sums_;          // scratch of the weights' and biases' sums
};

}  // namespace

int64_t DeviceRecurrentScratch(const RecurrentShape& shape, const Extent& extent) {
  const kernels::DeviceTree tree = Positions(TreeOf(extent), shape.steps);
  return WholeLines(extent.rows * shape.steps * shape.hidden) + 2 * WholeLines(extent.rows * shape.hidden) +
         (shape.lstm() ? WholeLines(extent.rows * shape.gates()) : 0) +
         std::max({kernels::cuda::ShardOuterScratch(shape.gates(), shape.inputs, tree.shards),
                   kernels::cuda::ShardOuterScratch(shape.gates(), shape.hidden, tree.shards),
                   kernels::cuda::ColumnScratch(tree, shape.gates())});
}

std::unique_ptr<DeviceOp> MakeDeviceRecurrent(const RecurrentShape& shape, const OpContext& context) {
  return std::make_unique<DeviceRecurrent>(shape, context);
}

}  // namespace lockstep::engine
