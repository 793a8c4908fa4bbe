// The last step of a sequence.
#include "kernels/cuda/arrange.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;
using kernels::cuda::CopyBlocks;

class DeviceLast final : public DeviceOp {
 public:
  DeviceLast(int64_t steps, int64_t width, const OpContext& context)
      : width_(width), stride_(steps * width), last_(stride_ - width), context_(context) {}

  Launched Forward(const DevicePass& pass) override {
    return CopyBlocks(pass.rows, width_, context_.input() + last_, stride_, false, context_.output, width_,
                      pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    if (!dx.add) {
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::ZeroBlocks(pass.rows, last_, dx.data, stride_, pass.stream));
    }
    return CopyBlocks(pass.rows, width_, context_.output_gradient, width_, dx.add, dx.data + last_, stride_,
                      pass.stream);
  }

 private:
  const int64_t width_, stride_, last_;  // of a step, a row; where the last step begins
  const OpContext context_;
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceLast(int64_t steps, int64_t width, const OpContext& context) {
  return std::make_unique<DeviceLast>(steps, width, context);
}

}  // namespace lockstep::engine
