#include "worker/engine/linear.h"

#include <algorithm>

#include "kernels/cuda/activation.h"
#include "kernels/cuda/shard_outer.h"
#include "worker/engine/device/device_products.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/products.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;
using kernels::Launched;

// Of one shard: forwards, the input's gradient, the weight's.
ShardProduct ForwardProduct(const LinearShape& shape, kernels::GemmType type, int64_t rows) {
  return {type, rows * shape.positions, shape.outputs, shape.inputs, false, true, false};
}
ShardProduct BackwardProduct(const LinearShape& shape, kernels::GemmType type, int64_t rows, bool add) {
  return {type, rows * shape.positions, shape.inputs, shape.outputs, false, false, add};
}
ShardProduct WeightProduct(const LinearShape& shape, kernels::GemmType type, int64_t rows) {
  return {type, shape.outputs, shape.inputs, rows * shape.positions, true, false, false};
}

class DeviceLinear final : public DeviceOp {
 public:
  DeviceLinear(const LinearShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        type_(TypeOf(context.precision)),
        weight_(context.parameter(shape.weight).offset),
        bias_(shape.bias < 0 ? -1 : context.parameter(shape.bias).offset),
        product_(shape.has_product() ? context.workspace : context.output) {
    DeviceProducts* const products = context.products;
    if (products == nullptr) return;
    const int64_t rows = context.rows_per_shard;
    const InputGradient& dx = context.input_gradients[0];
    forward_ =
        products->AddRows(context, ForwardProduct(shape, type_, rows), context.input(), weight_, product_);
    if (!shape.tied) {
      gradient_ = products->AddLeaves(context, WeightProduct(shape, type_, rows), context.output_gradient,
                                      context.input(), weight_);
    }
    if (dx.data == nullptr) return;
    backward_ = products->AddRows(context, BackwardProduct(shape, type_, rows, dx.add),
                                  context.output_gradient, weight_, dx.data);
  }

  Launched Forward(const DevicePass& pass) override {
    const int64_t rows = pass.rows * shape_.positions;
    RETURN_IF_NOT_LAUNCHED(
        Product(pass, forward_, shape_.outputs, shape_.inputs, context_.input(), true, {product_, false}));
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
      RETURN_IF_NOT_LAUNCHED(SumProducts(gradient_, type_, pass, tree, product, context_.scratch));
    }
    if (bias_ >= 0) {
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::ShardColumnSum(tree, shape_.outputs, gradient, shape_.outputs,
                                                           pass.node_sums + bias_, pass.gradient_size,
                                                           context_.scratch, pass.stream));
    }
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    return Product(pass, backward_, shape_.inputs, shape_.outputs, gradient, false, dx);
  }

 private:
  // out (rows, n) = a (rows, k) * the weight, or its transpose.
  Launched Product(const DevicePass& pass, RowProduct* product, int64_t n, int64_t k, const float* a,
                   bool transposed, const InputGradient& out) const {
    kernels::GemmArguments arguments{pass.rows * shape_.positions, n,          k,        a, k,      nullptr,
                                     transposed ? k : n,           transposed, out.data, n, out.add};
    pass.TakeWeights(weight_, &arguments);
    return Multiply(product, type_, pass, arguments);
  }

  const LinearShape shape_;
  const OpContext context_;
  const kernels::GemmType type_;
  const int64_t weight_, bias_;  // offsets in the flat buffer; no bias: -1
  float* const product_;         // (rows, outputs): before the activation
  // Null: our own kernels'.
  RowProduct *forward_ = nullptr, *backward_ = nullptr;
  LeafProduct* gradient_ = nullptr;
};

}  // namespace

int64_t DeviceLinearScratch(const LinearShape& shape, const Extent& extent) {
  const kernels::DeviceTree tree = Positions(TreeOf(extent), shape.positions);
  const kernels::GemmType type = TypeOf(extent.precision);
  const int64_t rows = extent.rows_per_shard;
  return std::max({kernels::cuda::ShardOuterScratch(shape.outputs, shape.inputs, tree.shards),
                   kernels::cuda::ColumnScratch(tree, shape.outputs),
                   RowProduct::Scratch(ForwardProduct(shape, type, rows), extent),
                   RowProduct::Scratch(BackwardProduct(shape, type, rows, false), extent),
                   shape.tied ? 0 : LeafProduct::Scratch(WeightProduct(shape, type, rows), extent)});
}

std::unique_ptr<DeviceOp> MakeDeviceLinear(const LinearShape& shape, const OpContext& context) {
  return std::make_unique<DeviceLinear>(shape, context);
}

}  // namespace lockstep::engine
