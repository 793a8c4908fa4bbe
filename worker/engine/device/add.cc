#include "worker/engine/add.h"

#include "kernels/cuda/arrange.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;

class DeviceAdd final : public DeviceOp {
 public:
  DeviceAdd(int64_t width, const OpContext& context) : width_(width), context_(context) {}

  Launched Forward(const DevicePass& pass) override {
    return kernels::cuda::AddForward(pass.rows * width_, context_.inputs[0], context_.inputs[1],
                                     context_.output, pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    const float* const dy = context_.output_gradient;
    for (const InputGradient& dx : context_.input_gradients) {
      if (dx.data == nullptr) continue;
      RETURN_IF_NOT_LAUNCHED(
          kernels::cuda::CopyBlocks(pass.rows, width_, dy, width_, dx.add, dx.data, width_, pass.stream));
    }
    return {};
  }

 private:
  const int64_t width_;
  const OpContext context_;
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceAdd(int64_t width, const OpContext& context) {
  return std::make_unique<DeviceAdd>(width, context);
}

}  // namespace lockstep::engine
