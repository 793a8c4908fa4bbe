#include "kernels/cuda/swiglu.h"

#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;

class DeviceSwiGlu final : public DeviceOp {
 public:
  DeviceSwiGlu(int64_t width, const OpContext& context) : width_(width), context_(context) {}

  Launched Forward(const DevicePass& pass) override {
    return kernels::cuda::SwiGluForward(pass.rows * width_, context_.inputs[0], context_.inputs[1],
                                        context_.output, pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    return kernels::cuda::SwiGluBackward(pass.rows * width_, context_.inputs[0], context_.inputs[1],
                                         context_.output_gradient, false, context_.input_gradients[0].data,
                                         context_.input_gradients[1].data, pass.stream);
  }

 private:
  const int64_t width_;
  const OpContext context_;
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceSwiGlu(int64_t width, const OpContext& context) {
  return std::make_unique<DeviceSwiGlu>(width, context);
}

}  // namespace lockstep::engine
