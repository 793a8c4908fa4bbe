#include "worker/engine/concat.h"

#include <utility>

#include "kernels/arrange.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

class ConcatOp final : public Op {
 public:
  ConcatOp(const ConcatShape& shape, const OpContext& context) : shape_(shape), context_(context) {}

  void Forward(const Pass& pass, const Member& member) override {
    const Range share = member.Share(pass.rows * shape_.blocks);
    int64_t column = share.begin * shape_.width;
    for (size_t i = 0; i < shape_.widths.size(); ++i) {
      const int64_t width = shape_.widths[i];
      kernels::cpu::CopyBlocks(share.end - share.begin, width, context_.inputs[i] + share.begin * width,
                               width, false, context_.output + column, shape_.width);
      column += width;
    }
  }

  void Backward(const Pass& pass, const Member& member) override {
    const Range share = member.Share(pass.rows * shape_.blocks);
    int64_t column = share.begin * shape_.width;
    for (size_t i = 0; i < shape_.widths.size(); ++i) {
      const int64_t width = shape_.widths[i];
      const InputGradient& dx = context_.input_gradients[i];
      if (dx.data != nullptr) {
        kernels::cpu::CopyBlocks(share.end - share.begin, width, context_.output_gradient + column,
                                 shape_.width, dx.add, dx.data + share.begin * width, width);
      }
      column += width;
    }
  }

 private:
  const ConcatShape shape_;
  const OpContext context_;
};

class ConcatNode final : public Node {
 public:
  ConcatNode(std::string name, ConcatShape shape) : name_(std::move(name)), shape_(std::move(shape)) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "concat"; }
  bool AddsInputGradient() const override { return true; }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<ConcatOp>(shape_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceConcat(shape_, context);
  }

 private:
  const std::string name_;
  const ConcatShape shape_;
};

}  // namespace

int AppendConcat(GraphBuilder& builder, const std::string& name, const std::vector<int>& inputs, int axis) {
  std::vector<int64_t> out = builder.shape(inputs[0]);
  out[axis] = 0;
  ConcatShape shape;
  for (int i = 0; i < axis; ++i) shape.blocks *= out[i];
  for (const int input : inputs) {
    out[axis] += builder.shape(input)[axis];
    shape.widths.push_back(builder.width(input) / shape.blocks);
    shape.width += shape.widths.back();
  }
  return builder.Append(std::make_unique<ConcatNode>(name, std::move(shape)), inputs, out);
}

}  // namespace lockstep::engine
