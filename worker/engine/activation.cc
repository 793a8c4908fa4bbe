#include "worker/engine/activation.h"

#include <cstring>
#include <utility>

#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;

class ActivationOp final : public Op {
 public:
  ActivationOp(Activation activation, int64_t width, const OpContext& context)
      : activation_(activation), width_(width), context_(context) {}

  void Forward(const Pass& pass, const Member& member) override {
    const Range share = member.Share(pass.rows * width_, 16);
    const int64_t count = share.end - share.begin;
    float* const y = context_.output + share.begin;
    // The kernel writes to its input; this one belongs to others.
    std::memcpy(y, context_.input() + share.begin, static_cast<size_t>(count) * sizeof(float));
    kernels::cpu::BiasActivationForward(activation_, 1, count, nullptr, y, y);
  }
  void Backward(const Pass& pass, const Member& member) override {
    float* const dx = context_.input_gradients[0].data;
    if (dx == nullptr) return;
    const Range share = member.Share(pass.rows * width_, 16);
    const float* saved = kernels::SavesInput(activation_) ? context_.input() : context_.output;
    kernels::cpu::ActivationBackward(activation_, share.end - share.begin, saved + share.begin,
                                     context_.output_gradient + share.begin, dx + share.begin);
  }

 private:
  const Activation activation_;
  const int64_t width_;
  const OpContext context_;
};

class ActivationNode final : public Node {
 public:
  ActivationNode(std::string name, Activation activation, int64_t width)
      : name_(std::move(name)), activation_(activation), width_(width) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "activation"; }
  bool BackwardReadsInput(int) const override { return kernels::SavesInput(activation_); }
  bool BackwardReadsOutput() const override { return !kernels::SavesInput(activation_); }
  double Flops() const override { return static_cast<double>(width_); }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<ActivationOp>(activation_, width_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceActivation(activation_, width_, context);
  }

 private:
  const std::string name_;
  const Activation activation_;
  const int64_t width_;
};

}  // namespace

int AppendActivation(GraphBuilder& builder, const std::string& name, int input, Activation activation) {
  return builder.Append(std::make_unique<ActivationNode>(name, activation, builder.width(input)), {input},
                        builder.shape(input));
}

}  // namespace lockstep::engine
