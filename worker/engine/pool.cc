#include "worker/engine/pool.h"

#include <utility>

#include "kernels/convolution.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

using kernels::PoolShape;

int64_t OutSize(const PoolShape& s) {
  return kernels::ConvolvedExtent(s.height, s.kernel, s.stride, s.padding) *
         kernels::ConvolvedExtent(s.width, s.kernel, s.stride, s.padding) * s.channels;
}

// What pools have in common: they work row by row and keep no values.
class PoolNode : public Node {
 public:
  PoolNode(std::string name, const PoolShape& shape) : shape_(shape), name_(std::move(name)) {}
  std::string name() const override { return name_; }
  bool AddsInputGradient() const override { return true; }
  double Flops() const override {
    return static_cast<double>(OutSize(shape_)) * static_cast<double>(shape_.kernel * shape_.kernel);
  }

 protected:
  const PoolShape shape_;

 private:
  const std::string name_;
};

class MaxPoolOp final : public Op {
 public:
  MaxPoolOp(const PoolShape& shape, const OpContext& context)
      : shape_(shape), context_(context), winner_(reinterpret_cast<uint8_t*>(context.workspace)) {}
  void Forward(const Pass& pass, const Member& member) override {
    const Range rows = member.Share(pass.rows);
    kernels::cpu::MaxPoolForward(shape_, rows.begin, rows.end, context_.input(), context_.output,
                                 pass.training ? winner_ : nullptr);
  }
  void Backward(const Pass& pass, const Member& member) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return;
    const Range rows = member.Share(pass.rows);
    kernels::cpu::MaxPoolBackward(shape_, rows.begin, rows.end, context_.output_gradient, winner_, dx.add,
                                  dx.data);
  }

 private:
  const PoolShape shape_;
  const OpContext context_;
  uint8_t* const winner_;
};

class MaxPoolNode final : public PoolNode {
 public:
  using PoolNode::PoolNode;
  std::string kind() const override { return "max_pool"; }
  int64_t Workspace(const Extent& extent) const override {
    return (extent.rows * OutSize(shape_) + 3) / 4;
  }  // bytes
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<MaxPoolOp>(shape_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceMaxPool(shape_, context);
  }
};

class AveragePoolOp final : public Op {
 public:
  AveragePoolOp(const PoolShape& shape, const OpContext& context) : shape_(shape), context_(context) {}
  void Forward(const Pass& pass, const Member& member) override {
    const Range rows = member.Share(pass.rows);
    kernels::cpu::AveragePoolForward(shape_, rows.begin, rows.end, context_.input(), context_.output);
  }
  void Backward(const Pass& pass, const Member& member) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return;
    const Range rows = member.Share(pass.rows);
    kernels::cpu::AveragePoolBackward(shape_, rows.begin, rows.end, context_.output_gradient, dx.add,
                                      dx.data);
  }

 private:
  const PoolShape shape_;
  const OpContext context_;
};

class AveragePoolNode final : public PoolNode {
 public:
  using PoolNode::PoolNode;
  std::string kind() const override { return "average_pool"; }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<AveragePoolOp>(shape_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceAveragePool(shape_, context);
  }
};

class GlobalAveragePoolOp final : public Op {
 public:
  GlobalAveragePoolOp(const PoolShape& shape, const OpContext& context)
      : pixels_(shape.height * shape.width), channels_(shape.channels), context_(context) {}
  void Forward(const Pass& pass, const Member& member) override {
    const Range rows = member.Share(pass.rows);
    kernels::cpu::GlobalAveragePoolForward(pixels_, channels_, rows.begin, rows.end, context_.input(),
                                           context_.output);
  }
  void Backward(const Pass& pass, const Member& member) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return;
    const Range rows = member.Share(pass.rows);
    kernels::cpu::GlobalAveragePoolBackward(pixels_, channels_, rows.begin, rows.end,
                                            context_.output_gradient, dx.add, dx.data);
  }

 private:
  const int64_t pixels_, channels_;
  const OpContext context_;
};

class GlobalAveragePoolNode final : public PoolNode {
 public:
  using PoolNode::PoolNode;
  std::string kind() const override { return "global_average_pool"; }
  double Flops() const override {
    return static_cast<double>(shape_.height * shape_.width * shape_.channels);
  }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<GlobalAveragePoolOp>(shape_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceGlobalAveragePool(shape_, context);
  }
};

}  // namespace

int AppendPool(GraphBuilder& builder, const std::string& name, int input, Pooling pooling, PoolShape shape) {
  const std::vector<int64_t> from = builder.shape(input);
  shape.height = from[0], shape.width = from[1], shape.channels = from[2];
  const std::vector<int64_t> to = {
      kernels::ConvolvedExtent(shape.height, shape.kernel, shape.stride, shape.padding),
      kernels::ConvolvedExtent(shape.width, shape.kernel, shape.stride, shape.padding), shape.channels};
  if (pooling == Pooling::kMax)
    return builder.Append(std::make_unique<MaxPoolNode>(name, shape), {input}, to);
  return builder.Append(std::make_unique<AveragePoolNode>(name, shape), {input}, to);
}

int AppendGlobalAveragePool(GraphBuilder& builder, const std::string& name, int input) {
  const std::vector<int64_t>& from = builder.shape(input);
  const PoolShape shape{from[0], builder.width(input) / from[0] / from.back(), from.back()};
  return builder.Append(std::make_unique<GlobalAveragePoolNode>(name, shape), {input}, {shape.channels});
}

}  // namespace lockstep::engine
