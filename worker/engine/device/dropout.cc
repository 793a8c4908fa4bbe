#include "worker/engine/dropout.h"

#include "kernels/cuda/arrange.h"
#include "kernels/cuda/dropout.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;

class DeviceDropout final : public DeviceOp {
 public:
  DeviceDropout(double probability, int64_t width, const OpContext& context)
      : probability_(probability),
        width_(width),
        context_(context),
        mask_(reinterpret_cast<uint8_t*>(context.workspace)) {}

  Launched Forward(const DevicePass& pass) override {
    if (!pass.training) {
      return kernels::cuda::CopyBlocks(pass.rows, width_, context_.input(), width_, false, context_.output,
                                       width_, pass.stream);
    }
    kernels::DropoutKey key;
    key.seed = context_.seed;
    key.layer = static_cast<uint32_t>(context_.node);
    key.first_row = static_cast<uint32_t>(pass.first_row);
    return kernels::cuda::DropoutForward(key, pass.step, probability_, pass.rows, width_, context_.input(),
                                         context_.output, mask_, pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    float* const dx = context_.input_gradients[0].data;
    if (dx == nullptr) return {};
    return kernels::cuda::DropoutBackward(probability_, pass.rows * width_, mask_, context_.output_gradient,
                                          dx, pass.stream);
  }

 private:
  const double probability_;
  const int64_t width_;
  const OpContext context_;
  uint8_t* const mask_;  // (rows, width)
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceDropout(double probability, int64_t width, const OpContext& context) {
  return std::make_unique<DeviceDropout>(probability, width, context);
}

}  // namespace lockstep::engine
