#include "worker/engine/swiglu.h"

#include <utility>

#include "kernels/swiglu.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

class SwiGluOp final : public Op {
 public:
  SwiGluOp(int64_t width, const OpContext& context) : width_(width), context_(context) {}

  void Forward(const Pass& pass, const Member& member) override {
    const Range share = member.Share(pass.rows * width_, 16);
    kernels::cpu::SwiGluForward(share.end - share.begin, context_.inputs[0] + share.begin,
                                context_.inputs[1] + share.begin, context_.output + share.begin);
  }

  void Backward(const Pass& pass, const Member& member) override {
    const Range share = member.Share(pass.rows * width_, 16);
    float* const dgate = context_.input_gradients[0].data;
    float* const dup = context_.input_gradients[1].data;
    kernels::cpu::SwiGluBackward(share.end - share.begin, context_.inputs[0] + share.begin,
                                 context_.inputs[1] + share.begin, context_.output_gradient + share.begin,
                                 false, dgate == nullptr ? nullptr : dgate + share.begin,
                                 dup == nullptr ? nullptr : dup + share.begin);
  }

 private:
  const int64_t width_;
  const OpContext context_;
};

class SwiGluNode final : public Node {
 public:
  SwiGluNode(std::string name, int64_t width) : name_(std::move(name)), width_(width) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "swiglu"; }
  bool BackwardReadsInput(int) const override { return true; }
  double Flops() const override { return 5.0 * static_cast<double>(width_); }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<SwiGluOp>(width_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceSwiGlu(width_, context);
  }

 private:
  const std::string name_;
  const int64_t width_;
};

}  // namespace

int AppendSwiGlu(GraphBuilder& builder, const std::string& name, int gate, int up) {
  return builder.Append(std::make_unique<SwiGluNode>(name, builder.width(gate)), {gate, up},
                        builder.shape(gate));
}

}  // namespace lockstep::engine
