#include "kernels/cuda/rope.h"

#include "kernels/cuda/arrange.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;

// Of the cosines; the sines follow as many.
int64_t AnglesOf(const kernels::RopeShape& shape) {
  return (shape.steps * shape.head_width / 2 + 15) / 16 * 16;
}

class DeviceRope final : public DeviceOp {
 public:
  DeviceRope(const kernels::RopeShape& shape, double theta, const OpContext& context)
      : shape_(shape),
        theta_(theta),
        context_(context),
        cosine_(static_cast<const float*>(context.device_constants)) {}

  void FillConstants(void* host) const override {
    auto* const cosine = static_cast<float*>(host);
    kernels::cpu::RopeTable(shape_.steps, shape_.head_width, theta_, cosine, cosine + AnglesOf(shape_));
  }

  Launched Forward(const DevicePass& pass) override {
    RETURN_IF_NOT_LAUNCHED(Copy(pass, context_.input(), context_.output));
    return kernels::cuda::RopeForward(shape_, pass.rows, cosine_, sine(), context_.output, pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    float* const dx = context_.input_gradients[0].data;
    if (dx == nullptr) return {};
    RETURN_IF_NOT_LAUNCHED(Copy(pass, context_.output_gradient, dx));
    return kernels::cuda::RopeBackward(shape_, pass.rows, cosine_, sine(), dx, pass.stream);
  }

 private:
  const float* sine() const { return cosine_ + AnglesOf(shape_); }
  Launched Copy(const DevicePass& pass, const float* from, float* to) const {
    const int64_t width = shape_.steps * shape_.stride;
    return kernels::cuda::CopyBlocks(pass.rows, width, from, width, false, to, width, pass.stream);
  }

  const kernels::RopeShape shape_;
  const double theta_;
  const OpContext context_;
  const float* const cosine_;  // (steps, head_width / 2)
};

}  // namespace

int64_t DeviceRopeConstants(const kernels::RopeShape& shape) { return 2 * AnglesOf(shape); }

std::unique_ptr<DeviceOp> MakeDeviceRope(const kernels::RopeShape& shape, double theta,
                                         const OpContext& context) {
  return std::make_unique<DeviceRope>(shape, theta, context);
}

}  // namespace lockstep::engine
