#include "kernels/rope.h"

#include <cstring>
#include <utility>
#include <vector>

#include "worker/engine/attention.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

class RopeOp final : public Op {
 public:
  RopeOp(const kernels::RopeShape& shape, double theta, const OpContext& context)
      : shape_(shape),
        context_(context),
        cosine_(static_cast<size_t>(shape.steps * shape.head_width / 2)),
        sine_(cosine_.size()) {
    kernels::cpu::RopeTable(shape.steps, shape.head_width, theta, cosine_.data(), sine_.data());
  }

  void Forward(const Pass& pass, const Member& member) override {
    const Range rows = member.Share(pass.rows);
    float* const y = Copy(rows, context_.input(), context_.output);
    kernels::cpu::RopeForward(shape_, rows.end - rows.begin, cosine_.data(), sine_.data(), y);
  }

  void Backward(const Pass& pass, const Member& member) override {
    if (context_.input_gradients[0].data == nullptr) return;
    const Range rows = member.Share(pass.rows);
    float* const dx = Copy(rows, context_.output_gradient, context_.input_gradients[0].data);
    kernels::cpu::RopeBackward(shape_, rows.end - rows.begin, cosine_.data(), sine_.data(), dx);
  }

 private:
  float* Copy(const Range& rows, const float* from, float* to) const {
    const int64_t width = shape_.steps * shape_.stride;
    std::memcpy(to + rows.begin * width, from + rows.begin * width,
                static_cast<size_t>((rows.end - rows.begin) * width) * sizeof(float));
    return to + rows.begin * width;
  }

  const kernels::RopeShape shape_;
  const OpContext context_;
  std::vector<float> cosine_, sine_;  // (steps, head_width / 2)
};

class RopeNode final : public Node {
 public:
  RopeNode(std::string name, const kernels::RopeShape& shape, double theta)
      : name_(std::move(name)), shape_(shape), theta_(theta) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "rope"; }
  double Flops() const override {
    return 3.0 * static_cast<double>(shape_.steps * shape_.heads * shape_.head_width);
  }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<RopeOp>(shape_, theta_, context);
  }
  int64_t DeviceConstants(const Extent&) const override { return DeviceRopeConstants(shape_); }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceRope(shape_, theta_, context);
  }

 private:
  const std::string name_;
  const kernels::RopeShape shape_;
  const double theta_;
};

}  // namespace

int AppendRope(GraphBuilder& builder, const std::string& name, int input, int64_t heads, int64_t head_width,
               double theta) {
  const std::vector<int64_t> in = builder.shape(input);
  const kernels::RopeShape shape{in[0], heads, head_width, in[1]};
  return builder.Append(std::make_unique<RopeNode>(name, shape, theta), {input}, in);
}

}  // namespace lockstep::engine
