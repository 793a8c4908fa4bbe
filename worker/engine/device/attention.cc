#include "kernels/cuda/attention.h"

#include "worker/engine/device/ops.h"
#include "worker/engine/products.h"

namespace lockstep::engine {
namespace {

using kernels::AttentionShape;
using kernels::Launched;

class DeviceAttention final : public DeviceOp {
 public:
  DeviceAttention(const AttentionShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        type_(TypeOf(context.precision)),
        q_(context.inputs[0]),
        k_(fused() ? q_ + shape.heads * shape.head_width : context.inputs[1]),
        v_(fused() ? k_ + shape.key_heads * shape.head_width : context.inputs[2]),
        log_sums_(context.workspace) {}

  Launched Forward(const DevicePass& pass) override {
    return kernels::cuda::AttentionForward(type_, shape_, pass.rows, q_, k_, v_, context_.output, log_sums_,
                                           pass.stream);
  }

  Launched Backward(const DevicePass& pass) override {
    float* const dq = context_.input_gradients[0].data;
    float* dk = nullptr;
    float* dv = nullptr;
    if (!fused()) {
      dk = context_.input_gradients[1].data;
      dv = context_.input_gradients[2].data;
    } else if (dq != nullptr) {
      dk = dq + shape_.heads * shape_.head_width;
      dv = dk + shape_.key_heads * shape_.head_width;
    }
    return kernels::cuda::AttentionBackward(type_, shape_, pass.rows, q_, k_, v_, context_.output, log_sums_,
                                            context_.output_gradient, dq, dk, dv, context_.scratch,
                                            pass.stream);
  }

 private:
  bool fused() const { return context_.inputs.size() == 1; }

  const AttentionShape shape_;
  const OpContext context_;
  const kernels::GemmType type_;
  const float *const q_, *const k_, *const v_;
  float* const log_sums_;  // (rows, heads, steps)
};

}  // namespace

int64_t DeviceAttentionScratch(const AttentionShape& shape, const Extent& extent) {
  return extent.rows * shape.heads * shape.steps;
}

std::unique_ptr<DeviceOp> MakeDeviceAttention(const AttentionShape& shape, const OpContext& context) {
  if (shape.head_width > kernels::cuda::kMaxHeadWidth) return nullptr;
  return std::make_unique<DeviceAttention>(shape, context);
}

}  // namespace lockstep::engine
