#include "worker/engine/linear.h"

#include <algorithm>

#include "kernels/cuda/activation.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/shard_outer.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/products.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;
using kernels::Launched;

class DeviceLinear final : public DeviceOp {
 public:
  DeviceLinear(const LinearShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        type_(TypeOf(context.precision)),
        weight_(context.parameter(shape.weight).offset),
        bias_(shape.bias < 0 ? -1 : context.parameter(shape.bias).offset),
        product_(shape.has_product() ? context.workspace : context.output) {}

  Launched Forward(const DevicePass& pass) override {
    const int64_t rows = pass.rows * shape_.positions;
    RETURN_IF_NOT_LAUNCHED(
        Multiply(pass, shape_.outputs, shape_.inputs, context_.input(), true, {product_, false}));
    if (bias_ < 0 && shape_.activation == Activation::kIdentity) return {};
    return kernels::cuda::BiasActivationForward(shape_.activation, rows, shape_.outputs,
                                                bias_ < 0 ? nullptr : pass.weights + bias_, product_,
                                                context_.output, pass.stream);
  }

  Launched Backward(const DevicePass& pass) override {
    float* const gradient = context_.output_gradient;
    const int64_t rows = pass.rows * shape_.positions;
    if (shape_.activation != Activation::kIdentity) {
      const float* saved = shape_.has_product() ? product_ : context_.output;
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::ActivationBackward(shape_.activation, rows * shape_.outputs,
                                                               saved, gradient, gradient, pass.stream));
    }
    const kernels::DeviceTree tree = Positions(pass.tree, shape_.positions);
    if (!shape_.tied) {
      kernels::OuterProduct product;
      product.m = shape_.outputs;
      product.n = shape_.inputs;
      product.a = gradient;
      product.lda = shape_.outputs;
      product.b = context_.input();
      product.ldb = shape_.inputs;
      product.out = pass.node_sums + weight_;
      product.node_stride = pass.gradient_size;
      RETURN_IF_NOT_LAUNCHED(
          kernels::cuda::ShardOuterProduct(type_, tree, product, context_.scratch, pass.stream));
    }
    if (bias_ >= 0) {
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::ShardColumnSum(tree, shape_.outputs, gradient, shape_.outputs,
                                                           pass.node_sums + bias_, pass.gradient_size,
                                                           context_.scratch, pass.stream));
    }
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    return Multiply(pass, shape_.inputs, shape_.outputs, gradient, false, dx);
  }

 private:
  // out (rows, n) = a (rows, k) * the weight, or its transpose.
  Launched Multiply(const DevicePass& pass, int64_t n, int64_t k, const float* a, bool transposed,
                    const InputGradient& out) const {
    kernels::GemmArguments product{pass.rows * shape_.positions, n,          k,        a, k,      nullptr,
                                   transposed ? k : n,           transposed, out.data, n, out.add};
    pass.TakeWeights(weight_, &product);
    return kernels::cuda::Gemm(type_, product, pass.stream);
  }

  const LinearShape shape_;
  const OpContext context_;
  const kernels::GemmType type_;
  const int64_t weight_, bias_;  // offsets in the flat buffer; no bias: -1
  float* const product_;         // (rows, outputs): before the activation
};

}  // namespace

int64_t DeviceLinearScratch(const LinearShape& shape, const Extent& extent) {
  const kernels::DeviceTree tree = Positions(TreeOf(extent), shape.positions);
  return std::max(kernels::cuda::ShardOuterScratch(shape.outputs, shape.inputs, tree.shards),
                  kernels::cuda::ColumnScratch(tree, shape.outputs));
}

std::unique_ptr<DeviceOp> MakeDeviceLinear(const LinearShape& shape, const OpContext& context) {
  return std::make_unique<DeviceLinear>(shape, context);
}

}  // namespace lockstep::engine
