#include "worker/engine/dropout.h"

#include <cstring>
#include <utility>

#include "kernels/dropout.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

class DropoutOp final : public Op {
 public:
  DropoutOp(double probability, int64_t width, const OpContext& context)
      : probability_(probability),
        width_(width),
        context_(context),
        mask_(reinterpret_cast<uint8_t*>(context.workspace)) {}

  void Forward(const Pass& pass, const Member& member) override {
    const Range share = member.Share(pass.rows);
    const int64_t first = share.begin * width_, count = (share.end - share.begin) * width_;
    if (!pass.training) {
      std::memcpy(context_.output + first, context_.input() + first,
                  static_cast<size_t>(count) * sizeof(float));
      return;
    }
    kernels::DropoutKey key;
    key.seed = context_.seed;
    key.layer = static_cast<uint32_t>(context_.node);
    key.step = pass.step;
    key.first_row = static_cast<uint32_t>(pass.first_row + share.begin);
    kernels::cpu::DropoutForward(key, probability_, share.end - share.begin, width_, context_.input() + first,
                                 context_.output + first, mask_ + first);
  }

  void Backward(const Pass& pass, const Member& member) override {
    float* const dx = context_.input_gradients[0].data;
    if (dx == nullptr) return;
    const Range share = member.Share(pass.rows);
    const int64_t first = share.begin * width_, count = (share.end - share.begin) * width_;
    kernels::cpu::DropoutBackward(probability_, count, mask_ + first, context_.output_gradient + first,
                                  dx + first);
  }

 private:
  const double probability_;
  const int64_t width_;
  const OpContext context_;
  uint8_t* const mask_;  // (rows, width)
};

class DropoutNode final : public Node {
 public:
  DropoutNode(std::string name, double probability, int64_t width)
      : name_(std::move(name)), probability_(probability), width_(width) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "dropout"; }
  int64_t Workspace(const Extent& extent) const override { return (extent.rows * width_ + 3) / 4; }  // bytes
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<DropoutOp>(probability_, width_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceDropout(probability_, width_, context);
  }

 private:
  const std::string name_;
  const double probability_;
  const int64_t width_;
};

}  // namespace

int AppendDropout(GraphBuilder& builder, const std::string& name, int input, double probability) {
  return builder.Append(std::make_unique<DropoutNode>(name, probability, builder.width(input)), {input},
                        builder.shape(input));
}

}  // namespace lockstep::engine
