// Transpositions, reshapes (which exchange nothing), and flattening, which is one of them.
#include "kernels/cuda/arrange.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;
using kernels::Permutation;

Permutation Inverse(const Permutation& forward) {
  Permutation inverse = forward;
  for (int i = 0; i < forward.rank; ++i) {
    inverse.shape[i] = forward.shape[forward.axes[i]];
    inverse.axes[forward.axes[i]] = i;
  }
  return inverse;
}

class DeviceTranspose final : public DeviceOp {
 public:
  DeviceTranspose(const Permutation& forward, const OpContext& context)
      : forward_(forward), backward_(Inverse(forward)), context_(context) {}

  Launched Forward(const DevicePass& pass) override {
    return kernels::cuda::Permute(forward_, pass.rows, context_.input(), false, context_.output, pass.stream);
  }
  Launched Backward(const DevicePass& pass) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return {};
    return kernels::cuda::Permute(backward_, pass.rows, context_.output_gradient, dx.add, dx.data,
                                  pass.stream);
  }

 private:
  const Permutation forward_, backward_;
  const OpContext context_;
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceTranspose(const Permutation& forward, const OpContext& context) {
  return std::make_unique<DeviceTranspose>(forward, context);
}

std::unique_ptr<DeviceOp> MakeDeviceFlatten(int64_t pixels, int64_t channels, const OpContext& context) {
  return MakeDeviceTranspose({2, {pixels, channels}, {1, 0}}, context);
}

}  // namespace lockstep::engine
