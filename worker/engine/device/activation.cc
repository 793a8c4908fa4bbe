#include "worker/engine/activation.h"

#include "kernels/cuda/activation.h"
#include "kernels/cuda/arrange.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;
using kernels::Launched;

class DeviceActivation final : public DeviceOp {
 public:
  DeviceActivation(Activation activation, int64_t width, const OpContext& context)
      : activation_(activation), width_(width), context_(context) {}

  Launched Forward(const DevicePass& pass) override {
    // The kernel writes to its input; this one belongs to others.
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::CopyBlocks(pass.rows, width_, context_.input(), width_, false,
                                                     context_.output, width_, pass.stream));
    return kernels::cuda::BiasActivationForward(activation_, pass.rows, width_, nullptr, context_.output,
                                                context_.output, pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    float* const dx = context_.input_gradients[0].data;
    if (dx == nullptr) return {};
    const float* saved = kernels::SavesInput(activation_) ? context_.input() : context_.output;
    return kernels::cuda::ActivationBackward(activation_, pass.rows * width_, saved, context_.output_gradient,
                                             dx, pass.stream);
  }

 private:
  const Activation activation_;
  const int64_t width_;
  const OpContext context_;
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceActivation(Activation activation, int64_t width,
                                               const OpContext& context) {
  return std::make_unique<DeviceActivation>(activation, width, context);
}

}  // namespace lockstep::engine
