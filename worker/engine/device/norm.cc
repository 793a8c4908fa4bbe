#include "worker/engine/norm.h"

#include "kernels/cuda/norm.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;

class DeviceNorm final : public DeviceOp {
 public:
  DeviceNorm(const NormShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        weight_(context.parameter(shape.weight).offset),
        bias_(shape.bias < 0 ? -1 : context.parameter(shape.bias).offset),
        rstd_(context.workspace),
        mean_(shape.centred ? context.workspace + context.rows * shape.positions : nullptr) {}

  Launched Forward(const DevicePass& pass) override {
    const int64_t rows = pass.rows * shape_.positions;
    const float* const weight = pass.weights + weight_;
    if (!shape_.centred) {
      return kernels::cuda::RmsNormForward(rows, shape_.width, shape_.epsilon, weight, context_.input(),
                                           context_.output, rstd_, pass.stream);
    }
    return kernels::cuda::LayerNormForward(rows, shape_.width, shape_.epsilon, weight,
                                           bias_ < 0 ? nullptr : pass.weights + bias_, context_.input(),
                                           context_.output, mean_, rstd_, pass.stream);
  }

  Launched Backward(const DevicePass& pass) override {
    const float* const dy = context_.output_gradient;
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::NormParameterGradients(
        Positions(pass.tree, shape_.positions), shape_.width, context_.input(), mean_, rstd_, dy,
        pass.node_sums + weight_, bias_ < 0 ? nullptr : pass.node_sums + bias_, pass.gradient_size,
        context_.scratch, pass.stream));
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    const int64_t rows = pass.rows * shape_.positions;
    const float* const weight = pass.weights + weight_;
    if (!shape_.centred) {
      return kernels::cuda::RmsNormBackward(rows, shape_.width, weight, context_.input(), rstd_, dy, dx.add,
                                            dx.data, pass.stream);
    }
    return kernels::cuda::LayerNormBackward(rows, shape_.width, weight, context_.input(), mean_, rstd_, dy,
                                            dx.add, dx.data, pass.stream);
  }

 private:
  const NormShape shape_;
  const OpContext context_;
  const int64_t weight_, bias_;  // offsets in the flat buffer; no bias: -1
  float *const rstd_, *const mean_;
};

}  // namespace

int64_t DeviceNormScratch(const NormShape& shape, const Extent& extent) {
  return kernels::cuda::NormScratch(Positions(TreeOf(extent), shape.positions), shape.width);
}

std::unique_ptr<DeviceOp> MakeDeviceNorm(const NormShape& shape, const OpContext& context) {
  return std::make_unique<DeviceNorm>(shape, context);
}

}  // namespace lockstep::engine
