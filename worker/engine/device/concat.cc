#include "worker/engine/concat.h"

#include "kernels/cuda/arrange.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;
using kernels::cuda::CopyBlocks;

class DeviceConcat final : public DeviceOp {
 public:
  DeviceConcat(const ConcatShape& shape, const OpContext& context) : shape_(shape), context_(context) {}

  Launched Forward(const DevicePass& pass) override {
    int64_t column = 0;
    for (size_t i = 0; i < shape_.widths.size(); ++i) {
      const int64_t width = shape_.widths[i];
      RETURN_IF_NOT_LAUNCHED(CopyBlocks(pass.rows * shape_.blocks, width, context_.inputs[i], width, false,
                                        context_.output + column, shape_.width, pass.stream));
      column += width;
    }
    return {};
  }

  Launched Backward(const DevicePass& pass) override {
    int64_t column = 0;
    for (size_t i = 0; i < shape_.widths.size(); ++i) {
      const int64_t width = shape_.widths[i];
      const InputGradient& dx = context_.input_gradients[i];
      if (dx.data != nullptr) {
        RETURN_IF_NOT_LAUNCHED(CopyBlocks(pass.rows * shape_.blocks, width, context_.output_gradient + column,
                                          shape_.width, dx.add, dx.data, width, pass.stream));
      }
      column += width;
    }
    return {};
  }

 private:
  const ConcatShape shape_;
  const OpContext context_;
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceConcat(const ConcatShape& shape, const OpContext& context) {
  return std::make_unique<DeviceConcat>(shape, context);
}

}  // namespace lockstep::engine
