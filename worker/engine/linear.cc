#include "worker/engine/linear.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/gemm.h"
#include "kernels/shard_outer.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

using kernels::Activation;

class LinearOp final : public Op {
 public:
  LinearOp(const LinearShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        type_(context.precision == Precision::kBf16 ? kernels::GemmType::kBf16 : kernels::GemmType::kFp32),
        weight_(context.parameter(shape.weight).offset),
        bias_(shape.bias < 0 ? -1 : context.parameter(shape.bias).offset),
        product_(shape.has_product() ? context.workspace : context.output),
        scratch_stride_(ScratchOfThread(context.rows * shape.positions)) {}

  static int64_t ScratchOfThread(int64_t rows) {
    return std::max(kernels::kGemmScratch, (kernels::OuterProductScratch(rows) + 15) / 16 * 16);
  }

  void Forward(const Pass& pass, const Member& member) override {
    const int64_t rows = pass.rows * shape_.positions;
    const Rectangle part = PartOf(member, rows, shape_.outputs);
    Multiply(pass, member, part, shape_.outputs, shape_.inputs, context_.input(), true, {product_, false});
    if (bias_ < 0 && shape_.activation == Activation::kIdentity) return;
    // A member's own part, while it is in its cache.
    const float* bias = bias_ < 0 ? nullptr : pass.weights + bias_ + part.columns.begin;
    const int64_t count = part.columns.end - part.columns.begin;
    const bool whole = count == shape_.outputs;
    const int64_t calls = whole ? 1 : part.rows.end - part.rows.begin;
    const auto activate = pass.training && shape_.has_product() ? kernels::cpu::BiasActivationSlopes
                                                                : kernels::cpu::BiasActivationForward;
    for (int64_t r = 0; r < calls; ++r) {
      const int64_t at = (part.rows.begin + r) * shape_.outputs + part.columns.begin;
      activate(shape_.activation, whole ? part.rows.end - part.rows.begin : 1, count, bias, product_ + at,
               context_.output + at);
    }
  }

  void Backward(const Pass& pass, const Member& member) override {
    float* gradient = context_.output_gradient;
    const int64_t rows = pass.rows * shape_.positions;
    if (shape_.activation != Activation::kIdentity) {
      const Range share = member.Share(rows * shape_.outputs, 16);
      float* const own = gradient + share.begin;
      if (shape_.has_product()) {
        kernels::cpu::SlopesBackward(share.end - share.begin, product_ + share.begin, own, own);
      } else {
        kernels::cpu::ActivationBackward(shape_.activation, share.end - share.begin,
                                         context_.output + share.begin, own, own);
      }
      member.Barrier();
    }
    const kernels::ShardTree tree = Positions(*pass.tree, shape_.positions);
    const Rectangle part = PartOf(member, shape_.outputs, shape_.inputs);
    kernels::OuterProduct product;
    product.m = shape_.outputs;
    product.n = shape_.inputs;
    product.a = gradient;
    product.lda = shape_.outputs;
    product.b = context_.input();
    product.ldb = shape_.inputs;
    product.out = pass.node_sums + weight_;
    product.node_stride = pass.gradient_size;
    product.row_begin = part.rows.begin;
    product.row_end = part.rows.end;
    product.column_begin = part.columns.begin;
    product.column_end = part.columns.end;
    if (!shape_.tied) kernels::cpu::ShardOuterProduct(type_, tree, product, Scratch(member));
    if (bias_ >= 0) {
      const Range columns = member.Share(shape_.outputs, 16);
      kernels::cpu::ShardColumnSum(tree, columns.begin, columns.end, gradient, shape_.outputs,
                                   pass.node_sums + bias_, pass.gradient_size);
    }
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data != nullptr) {
      Multiply(pass, member, PartOf(member, rows, shape_.inputs), shape_.inputs, shape_.outputs, gradient,
               false, dx);
    }
  }

 private:
  struct Rectangle {
    Range rows, columns;
  };
  // The longer side is divided.
  static Rectangle PartOf(const Member& member, int64_t rows, int64_t columns) {
    if (rows >= columns) return {member.Share(rows, 12), {0, columns}};
    return {{0, rows}, member.Share(columns, 32)};
  }
  float* Scratch(const Member& member) const { return context_.scratch + member.index * scratch_stride_; }

  // out (rows, n) = a (rows, k) * weight, or its transpose: this member's part.
  void Multiply(const Pass& pass, const Member& member, const Rectangle& part, int64_t n, int64_t k,
                const float* a, bool transposed, const InputGradient& out) const {
    kernels::GemmArguments arguments;
    arguments.m = part.rows.end - part.rows.begin;
    arguments.n = part.columns.end - part.columns.begin;
    arguments.k = k;
    arguments.a = a + part.rows.begin * k;
    arguments.lda = k;
    arguments.b_transposed = transposed;
    arguments.ldb = transposed ? k : n;
    pass.TakeWeights(weight_ + part.columns.begin * (transposed ? k : 1), &arguments);
    arguments.c = out.data + part.rows.begin * n + part.columns.begin;
    arguments.ldc = n;
    arguments.add = out.add;
    kernels::cpu::Gemm(type_, arguments, Scratch(member));
  }

  const LinearShape shape_;
  const OpContext context_;
  const kernels::GemmType type_;
  const int64_t weight_, bias_;  // offsets in the flat buffer; no bias: -1
  float* const product_;  // (rows, outputs): before the activation; between training's passes its slopes
  const int64_t scratch_stride_;
};

class LinearNode final : public Node {
 public:
  LinearNode(std::string name, const LinearShape& shape) : name_(std::move(name)), shape_(shape) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "linear"; }
  bool BackwardReadsInput(int) const override { return true; }
  bool BackwardReadsOutput() const override {
    return shape_.activation != Activation::kIdentity && !shape_.has_product();
  }
  bool OverwritesOutputGradient() const override { return shape_.activation != Activation::kIdentity; }
  bool AddsInputGradient() const override { return true; }
  int64_t Workspace(const Extent& extent) const override {
    return shape_.has_product() ? extent.rows * shape_.positions * shape_.outputs : 0;
  }
  int64_t Scratch(const Extent& extent) const override {
    if (extent.on_device) return DeviceLinearScratch(shape_, extent);
    return extent.threads * LinearOp::ScratchOfThread(extent.rows * shape_.positions);
  }
  double Flops() const override {
    return 2.0 * static_cast<double>(shape_.positions) * static_cast<double>(shape_.inputs) *
           static_cast<double>(shape_.outputs);
  }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<LinearOp>(shape_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceLinear(shape_, context);
  }

 private:
  const std::string name_;
  const LinearShape shape_;
};

}  // namespace

int AppendLinear(GraphBuilder& builder, const std::string& name, int input, int64_t outputs,
                 const LinearOptions& options) {
  std::vector<int64_t> shape = builder.shape(input);
  const int64_t inputs = shape.back();
  const Initializer fan_in{1.0 / std::sqrt(static_cast<double>(inputs)), Initializer::kUniform};
  LinearShape linear{builder.width(input) / inputs, inputs, outputs, options.activation, 0, -1};
  std::vector<int> parameters;
  linear.tied = options.tied >= 0;
  linear.weight = linear.tied ? options.tied
                              : builder.AddParameter(name + ".weight", {outputs, inputs}, true,
                                                     options.initializer ? *options.initializer : fan_in);
  parameters.push_back(linear.weight);
  if (options.bias) {
    linear.bias = builder.AddParameter(name + ".bias", {outputs}, false,
                                       options.initializer ? Initializer{0, Initializer::kConstant} : fan_in);
    parameters.push_back(linear.bias);
  }
  shape.back() = outputs;
  return builder.Append(std::make_unique<LinearNode>(name, linear), {input}, shape, parameters);
}

}  // namespace lockstep::engine
