#include "worker/engine/convolution.h"

#include <algorithm>

#include "kernels/cuda/activation.h"
#include "kernels/cuda/convolution.h"
#include "kernels/cuda/shard_outer.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/products.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;
using kernels::Launched;

int64_t PackedFloats(const ConvolutionLayer& layer) {
  return (kernels::cuda::ConvolutionPackedSize(layer.shape) + 15) / 16 * 16;
}

class DeviceConvolution final : public DeviceOp {
 public:
  DeviceConvolution(const ConvolutionLayer& layer, const OpContext& context)
      : layer_(layer),
        context_(context),
        type_(TypeOf(context.precision)),
        weight_(context.parameter(layer.weight).offset),
        bias_(layer.bias < 0 ? -1 : context.parameter(layer.bias).offset),
        product_(layer.keeps_product() ? context.workspace : context.output),
        packed_(context.scratch),
        scratch_(context.scratch + PackedFloats(layer)) {}

  Launched Forward(const DevicePass& pass) override {
    RETURN_IF_NOT_LAUNCHED(
        kernels::cuda::ConvolutionPack(layer_.shape, false, pass.weights + weight_, packed_, pass.stream));
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::ConvolutionForward(type_, layer_.shape, pass.rows, context_.input(),
                                                             packed_, product_, pass.stream));
    if (bias_ < 0 && layer_.activation == Activation::kIdentity) return {};
    return kernels::cuda::BiasActivationForward(
        layer_.activation, pass.rows * layer_.out_pixels(), layer_.shape.outputs,
        bias_ < 0 ? nullptr : pass.weights + bias_, product_, context_.output, pass.stream);
  }

  Launched Backward(const DevicePass& pass) override {
    float* const dy = context_.output_gradient;
    if (layer_.activation != Activation::kIdentity) {
      const float* saved = layer_.keeps_product() ? product_ : context_.output;
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::ActivationBackward(
          layer_.activation, pass.rows * layer_.out_size(), saved, dy, dy, pass.stream));
    }
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::ConvolutionWeightGradient(
        type_, layer_.shape, pass.tree, context_.input(), dy, pass.node_sums + weight_, pass.gradient_size,
        scratch_, pass.stream));
    if (bias_ >= 0) {
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::ShardColumnSum(
          Positions(pass.tree, layer_.out_pixels()), layer_.shape.outputs, dy, layer_.shape.outputs,
          pass.node_sums + bias_, pass.gradient_size, scratch_, pass.stream));
    }
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    RETURN_IF_NOT_LAUNCHED(
        kernels::cuda::ConvolutionPack(layer_.shape, true, pass.weights + weight_, packed_, pass.stream));
    return kernels::cuda::ConvolutionInputGradient(type_, layer_.shape, pass.rows, dy, packed_, dx.add,
                                                   dx.data, pass.stream);
  }

 private:
  const ConvolutionLayer layer_;
  const OpContext context_;
  const kernels::GemmType type_;
  const int64_t weight_, bias_;  // offsets in the flat buffer; no bias: -1
  float* const product_;         // before the activation
  float *const packed_, *const scratch_;
};

}  // namespace

int64_t DeviceConvolutionScratch(const ConvolutionLayer& layer, const Extent& extent) {
  const kernels::DeviceTree tree = Positions(TreeOf(extent), layer.out_pixels());
  return PackedFloats(layer) +
         std::max(kernels::cuda::ConvolutionWeightScratch(layer.shape, tree.shards, tree.nodes),
                  kernels::cuda::ColumnScratch(tree, layer.shape.outputs));
}

std::unique_ptr<DeviceOp> MakeDeviceConvolution(const ConvolutionLayer& layer, const OpContext& context) {
  return std::make_unique<DeviceConvolution>(layer, context);
}

}  // namespace lockstep::engine
