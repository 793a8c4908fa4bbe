#include "worker/engine/add.h"

#include <cstring>
#include <utility>

#include "kernels/tree_add.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

class AddOp final : public Op {
 public:
  AddOp(int64_t width, const OpContext& context) : width_(width), context_(context) {}

  void Forward(const Pass& pass, const Member& member) override {
    const Range share = member.Share(pass.rows * width_, 16);
    const int64_t count = share.end - share.begin;
    std::memcpy(context_.output + share.begin, context_.inputs[0] + share.begin,
                static_cast<size_t>(count) * sizeof(float));
    kernels::cpu::TreeAddInto(count, context_.inputs[1] + share.begin, context_.output + share.begin);
  }

  void Backward(const Pass& pass, const Member& member) override {
    const Range share = member.Share(pass.rows * width_, 16);
    const int64_t count = share.end - share.begin;
    const float* dy = context_.output_gradient + share.begin;
    for (const InputGradient& dx : context_.input_gradients) {
      if (dx.data == nullptr) continue;
      if (dx.add) {
        kernels::cpu::TreeAddInto(count, dy, dx.data + share.begin);
      } else {
        std::memcpy(dx.data + share.begin, dy, static_cast<size_t>(count) * sizeof(float));
      }
    }
  }

 private:
  const int64_t width_;
  const OpContext context_;
};

class AddNode final : public Node {
 public:
  AddNode(std::string name, int64_t width) : name_(std::move(name)), width_(width) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "add"; }
  bool AddsInputGradient() const override { return true; }
  bool PassesGradient() const override { return true; }
  double Flops() const override { return static_cast<double>(width_); }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<AddOp>(width_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceAdd(width_, context);
  }

 private:
  const std::string name_;
  const int64_t width_;
};

}  // namespace

int AppendAdd(GraphBuilder& builder, const std::string& name, int a, int b) {
  return builder.Append(std::make_unique<AddNode>(name, builder.width(a)), {a, b}, builder.shape(a));
}

}  // namespace lockstep::engine
