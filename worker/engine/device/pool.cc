#include "worker/engine/pool.h"

#include "kernels/cuda/pool.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;
using kernels::PoolShape;

class DeviceMaxPool final : public DeviceOp {
 public:
  DeviceMaxPool(const PoolShape& shape, const OpContext& context)
      : shape_(shape), context_(context), winner_(reinterpret_cast<uint8_t*>(context.workspace)) {}
  Launched Forward(const DevicePass& pass) override {
    return kernels::cuda::MaxPoolForward(shape_, pass.rows, context_.input(), context_.output,
                                         pass.training ? winner_ : nullptr, pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    return kernels::cuda::MaxPoolBackward(shape_, pass.rows, context_.output_gradient, winner_, dx.add,
                                          dx.data, pass.stream);
  }

 private:
  const PoolShape shape_;
  const OpContext context_;
  uint8_t* const winner_;
};

class DeviceAveragePool final : public DeviceOp {
 public:
  DeviceAveragePool(const PoolShape& shape, const OpContext& context) : shape_(shape), context_(context) {}
  Launched Forward(const DevicePass& pass) override {
    return kernels::cuda::AveragePoolForward(shape_, pass.rows, context_.input(), context_.output,
                                             pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    return kernels::cuda::AveragePoolBackward(shape_, pass.rows, context_.output_gradient, dx.add, dx.data,
                                              pass.stream);
  }

 private:
  const PoolShape shape_;
  const OpContext context_;
};

class DeviceGlobalAveragePool final : public DeviceOp {
 public:
  DeviceGlobalAveragePool(const PoolShape& shape, const OpContext& context)
      : pixels_(shape.height * shape.width), channels_(shape.channels), context_(context) {}
  Launched Forward(const DevicePass& pass) override {
    return kernels::cuda::GlobalAveragePoolForward(pixels_, channels_, pass.rows, context_.input(),
                                                   context_.output, pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    return kernels::cuda::GlobalAveragePoolBackward(pixels_, channels_, pass.rows, context_.output_gradient,
                                                    dx.add, dx.data, pass.stream);
  }

 private:
  const int64_t pixels_, channels_;
  const OpContext context_;
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceMaxPool(const PoolShape& shape, const OpContext& context) {
  return std::make_unique<DeviceMaxPool>(shape, context);
}
std::unique_ptr<DeviceOp> MakeDeviceAveragePool(const PoolShape& shape, const OpContext& context) {
  return std::make_unique<DeviceAveragePool>(shape, context);
}
std::unique_ptr<DeviceOp> MakeDeviceGlobalAveragePool(const PoolShape& shape, const OpContext& context) {
  return std::make_unique<DeviceGlobalAveragePool>(shape, context);
}

}  // namespace lockstep::engine
