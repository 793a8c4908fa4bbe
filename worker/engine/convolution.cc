#include "worker/engine/convolution.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/convolution.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;
using kernels::ConvolutionShape;

int64_t Aligned(int64_t floats) { return (floats + 15) / 16 * 16; }

int64_t ScratchOfThread(const ConvolutionLayer& layer, int64_t shards) {
  return Aligned(std::max(kernels::cpu::ConvolutionScratch(layer.shape),
                          kernels::cpu::ConvolutionWeightScratch(layer.shape, shards)));
}

class ConvolutionOp final : public Op {
 public:
  ConvolutionOp(const ConvolutionLayer& layer, const OpContext& context)
      : layer_(layer),
        context_(context),
        weight_(context.parameter(layer.weight).offset),
        bias_(layer.bias < 0 ? -1 : context.parameter(layer.bias).offset),
        product_(layer.keeps_product() ? context.workspace : context.output),
        packed_(context.scratch),
        scratch_(context.scratch + Aligned(kernels::cpu::ConvolutionPackedSize(layer.shape))),
        scratch_stride_(ScratchOfThread(layer, context.shards)) {}

  void Forward(const Pass& pass, const Member& member) override {
    Pack(pass, member, false);
    member.Barrier();
    const Range rows = member.Share(pass.rows);
    const kernels::cpu::ConvolutionEnd end{bias_ < 0 ? nullptr : pass.weights + bias_,
                                           layer_.activation == Activation::kRelu};
    kernels::cpu::ConvolutionForward(layer_.shape, rows.begin, rows.end, context_.input(), packed_, end,
                                     product_, Scratch(member));
    if (layer_.fused()) return;
    const int64_t first = rows.begin * layer_.out_size();
    kernels::cpu::BiasActivationForward(
        layer_.activation, (rows.end - rows.begin) * layer_.out_height * layer_.out_width,
        layer_.shape.outputs, nullptr, product_ + first, context_.output + first);
  }

  void Backward(const Pass& pass, const Member& member) override {
    const InputGradient& dx = context_.input_gradients[0];
    float* const dy = context_.output_gradient;
    if (layer_.activation != Activation::kIdentity) {
      const Range share = member.Share(pass.rows * layer_.out_size(), 16);
      const float* saved = layer_.keeps_product() ? product_ : context_.output;
      kernels::cpu::ActivationBackward(layer_.activation, share.end - share.begin, saved + share.begin,
                                       dy + share.begin, dy + share.begin);
    }
    if (dx.data != nullptr) Pack(pass, member, true);
    member.Barrier();
    const Range units = member.Share(kernels::cpu::ConvolutionWeightUnits(layer_.shape));
    kernels::cpu::ConvolutionWeightGradient(
        layer_.shape, *pass.tree, units.begin, units.end, context_.input(), dy, pass.node_sums + weight_,
        bias_ < 0 ? nullptr : pass.node_sums + bias_, pass.gradient_size, Scratch(member));
    if (dx.data == nullptr) return;
    const Range rows = member.Share(pass.rows);
    kernels::cpu::ConvolutionInputGradient(layer_.shape, rows.begin, rows.end, dy, packed_, dx.add, dx.data,
                                           Scratch(member));
  }

 private:
  void Pack(const Pass& pass, const Member& member, bool backward) const {
    const Range units = member.Share(kernels::cpu::ConvolutionPackUnits(layer_.shape, backward));
    kernels::cpu::ConvolutionPack(layer_.shape, backward, units.begin, units.end, pass.weights + weight_,
                                  packed_);
  }
  float* Scratch(const Member& member) const { return scratch_ + member.index * scratch_stride_; }

  const ConvolutionLayer layer_;
  const OpContext context_;
  const int64_t weight_, bias_;  // offsets in the flat buffer; no bias: -1
  float* const product_;         // before the activation
  float* const packed_;          // shared by the team
  float* const scratch_;         // of member 0
  const int64_t scratch_stride_;
};

class ConvolutionNode final : public Node {
 public:
  ConvolutionNode(std::string name, const ConvolutionLayer& layer) : name_(std::move(name)), layer_(layer) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "conv"; }
  bool BackwardReadsInput(int) const override { return true; }
  bool BackwardReadsOutput() const override {
    return layer_.activation != Activation::kIdentity && !layer_.keeps_product();
  }
  bool OverwritesOutputGradient() const override { return layer_.activation != Activation::kIdentity; }
  bool AddsInputGradient() const override { return true; }
  int64_t Workspace(const Extent& extent) const override {
    return layer_.keeps_product() ? extent.rows * layer_.out_size() : 0;
  }
  int64_t Scratch(const Extent& extent) const override {
    if (extent.on_device) return DeviceConvolutionScratch(layer_, extent);
    return Aligned(kernels::cpu::ConvolutionPackedSize(layer_.shape)) +
           extent.threads * ScratchOfThread(layer_, extent.rows / extent.rows_per_shard);
  }
  double Flops() const override {
    const ConvolutionShape& s = layer_.shape;
    return 2.0 * static_cast<double>(layer_.out_size()) *
           static_cast<double>(s.kernel * s.kernel * s.channels / s.groups);
  }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<ConvolutionOp>(layer_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceConvolution(layer_, context);
  }

 private:
  const std::string name_;
  const ConvolutionLayer layer_;
};

}  // namespace

int AppendConvolution(GraphBuilder& builder, const std::string& name, int input,
                      const ConvolutionOptions& options) {
  const std::vector<int64_t>& from = builder.shape(input);
  ConvolutionLayer layer;
  layer.shape = {from[0],        from[1],        from[2],         options.channels,
                 options.kernel, options.stride, options.padding, options.groups};
  layer.out_height = kernels::ConvolvedExtent(from[0], options.kernel, options.stride, options.padding);
  layer.out_width = kernels::ConvolvedExtent(from[1], options.kernel, options.stride, options.padding);
  layer.activation = options.activation;
  const int64_t inputs = from[2] / options.groups;
  const double fan_in = static_cast<double>(inputs * options.kernel * options.kernel);
  const Initializer uniform{1.0 / std::sqrt(fan_in), Initializer::kUniform};
  std::vector<int> parameters;
  layer.weight =
      builder.AddParameter(name + ".weight", {options.channels, inputs, options.kernel, options.kernel}, true,
                           options.initializer ? *options.initializer : uniform);
  parameters.push_back(layer.weight);
  if (options.bias) {
    layer.bias = builder.AddParameter(name + ".bias", {options.channels}, false,
                                      options.initializer ? Initializer{0, Initializer::kConstant} : uniform);
    parameters.push_back(layer.bias);
  }
  return builder.Append(std::make_unique<ConvolutionNode>(name, layer), {input},
                        {layer.out_height, layer.out_width, options.channels}, parameters);
}

}  // namespace lockstep::engine
