#include "worker/engine/norm.h"

#include <utility>

#include "kernels/norm.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

class NormOp final : public Op {
 public:
  NormOp(const NormShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        weight_(context.parameter(shape.weight).offset),
        bias_(shape.bias < 0 ? -1 : context.parameter(shape.bias).offset),
        rstd_(context.workspace),
        mean_(shape.centred ? context.workspace + context.rows * shape.positions : nullptr) {}

  void Forward(const Pass& pass, const Member& member) override {
    const Range rows = member.Share(pass.rows * shape_.positions);
    const int64_t count = rows.end - rows.begin, at = rows.begin * shape_.width;
    const float* weight = pass.weights + weight_;
    const float* x = context_.input() + at;
    float* y = context_.output + at;
    if (shape_.centred) {
      kernels::cpu::LayerNormForward(count, shape_.width, shape_.epsilon, weight,
                                     bias_ < 0 ? nullptr : pass.weights + bias_, x, y, mean_ + rows.begin,
                                     rstd_ + rows.begin);
    } else {
      kernels::cpu::RmsNormForward(count, shape_.width, shape_.epsilon, weight, x, y, rstd_ + rows.begin);
    }
  }

  void Backward(const Pass& pass, const Member& member) override {
    const float* dy = context_.output_gradient;
    const Range columns = member.Share(shape_.width, 16);
    kernels::cpu::NormParameterGradients(Positions(*pass.tree, shape_.positions), shape_.width, columns.begin,
                                         columns.end, context_.input(), mean_, rstd_, dy,
                                         pass.node_sums + weight_,
                                         bias_ < 0 ? nullptr : pass.node_sums + bias_, pass.gradient_size);
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return;
    const Range rows = member.Share(pass.rows * shape_.positions);
    const int64_t count = rows.end - rows.begin, at = rows.begin * shape_.width;
    const float* weight = pass.weights + weight_;
    if (shape_.centred) {
      kernels::cpu::LayerNormBackward(count, shape_.width, weight, context_.input() + at, mean_ + rows.begin,
                                      rstd_ + rows.begin, dy + at, dx.add, dx.data + at);
    } else {
      kernels::cpu::RmsNormBackward(count, shape_.width, weight, context_.input() + at, rstd_ + rows.begin,
                                    dy + at, dx.add, dx.data + at);
    }
  }

 private:
  const NormShape shape_;
  const OpContext context_;
  const int64_t weight_, bias_;  // offsets in the flat buffer; no bias: -1
  float* const rstd_;            // (rows * positions)
  float* const mean_;            // the same, or null
};

class NormNode final : public Node {
 public:
  NormNode(std::string name, const NormShape& shape) : name_(std::move(name)), shape_(shape) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return shape_.centred ? "layer_norm" : "rms_norm"; }
  bool BackwardReadsInput(int) const override { return true; }
  bool AddsInputGradient() const override { return true; }
  int64_t Workspace(const Extent& extent) const override {
    return extent.rows * shape_.positions * (shape_.centred ? 2 : 1);
  }
  int64_t Scratch(const Extent& extent) const override {
    return extent.on_device ? DeviceNormScratch(shape_, extent) : 0;
  }
  double Flops() const override { return 8.0 * static_cast<double>(shape_.positions * shape_.width); }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<NormOp>(shape_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceNorm(shape_, context);
  }

 private:
  const std::string name_;
  const NormShape shape_;
};

int AppendNorm(GraphBuilder& builder, const std::string& name, int input, double epsilon, bool centred,
               bool bias) {
  NormShape norm;
  norm.width = builder.shape(input).back();
  norm.positions = builder.width(input) / norm.width;
  norm.epsilon = static_cast<float>(epsilon);
  norm.centred = centred;
  norm.weight = builder.AddParameter(name + ".weight", {norm.width}, false, {1.0, Initializer::kConstant});
  std::vector<int> parameters = {norm.weight};
  if (bias) {
    norm.bias = builder.AddParameter(name + ".bias", {norm.width}, false, {0.0, Initializer::kConstant});
    parameters.push_back(norm.bias);
  }
  return builder.Append(std::make_unique<NormNode>(name, norm), {input}, builder.shape(input), parameters);
}

}  // namespace

int AppendLayerNorm(GraphBuilder& builder, const std::string& name, int input, double epsilon, bool bias) {
  return AppendNorm(builder, name, input, epsilon, true, bias);
}
int AppendRmsNorm(GraphBuilder& builder, const std::string& name, int input, double epsilon) {
  return AppendNorm(builder, name, input, epsilon, false, false);
}

}  // namespace lockstep::engine
