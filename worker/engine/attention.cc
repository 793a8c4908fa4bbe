#include "worker/engine/attention.h"

#include <cmath>
#include <utility>

#include "kernels/attention.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

using kernels::AttentionShape;

class AttentionOp final : public Op {
 public:
  AttentionOp(const AttentionShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        q_(context.inputs[0]),
        k_(fused() ? q_ + shape.heads * shape.head_width : context.inputs[1]),
        v_(fused() ? k_ + shape.key_heads * shape.head_width : context.inputs[2]),
        log_sums_(context.workspace) {}

  void Forward(const Pass& pass, const Member& member) override {
    const Range items = member.Share(pass.rows * shape_.key_heads);
    kernels::cpu::AttentionForward(shape_, items.begin, items.end, q_, k_, v_, context_.output, log_sums_,
                                   Scratch(member));
  }

  void Backward(const Pass& pass, const Member& member) override {
    const Range items = member.Share(pass.rows * shape_.key_heads);
    float* const dq = context_.input_gradients[0].data;
    float* dk = nullptr;
    float* dv = nullptr;
    if (!fused()) {
      dk = context_.input_gradients[1].data;
      dv = context_.input_gradients[2].data;
    } else if (dq != nullptr) {
      dk = dq + shape_.heads * shape_.head_width;
      dv = dk + shape_.key_heads * shape_.head_width;
    }
    kernels::cpu::AttentionBackward(shape_, items.begin, items.end, q_, k_, v_, context_.output, log_sums_,
                                    context_.output_gradient, dq, dk, dv, Scratch(member));
  }

  static int64_t ScratchOfThread(const AttentionShape& shape) {
    return (kernels::AttentionScratch(shape) + 15) / 16 * 16;
  }

 private:
  bool fused() const { return context_.inputs.size() == 1; }
  float* Scratch(const Member& member) const {
    return context_.scratch + member.index * ScratchOfThread(shape_);
  }

  const AttentionShape shape_;
  const OpContext context_;
  const float *const q_, *const k_, *const v_;
  float* const log_sums_;  // (rows, heads, steps)
};

class AttentionNode final : public Node {
 public:
  AttentionNode(std::string name, const AttentionShape& shape) : name_(std::move(name)), shape_(shape) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "attention"; }
  bool BackwardReadsInput(int) const override { return true; }
  bool BackwardReadsOutput() const override { return true; }
  int64_t Workspace(const Extent& extent) const override { return extent.rows * shape_.heads * shape_.steps; }
  int64_t Scratch(const Extent& extent) const override {
    if (extent.on_device) return DeviceAttentionScratch(shape_, extent);
    return extent.threads * AttentionOp::ScratchOfThread(shape_);
  }
  double Flops() const override {
    const auto steps = static_cast<double>(shape_.steps);
    const double pairs = shape_.causal ? steps * (steps + 1) / 2 : steps * steps;
    return 4.0 * pairs * static_cast<double>(shape_.heads * shape_.head_width);
  }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<AttentionOp>(shape_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceAttention(shape_, context);
  }

 private:
  const std::string name_;
  const AttentionShape shape_;
};

AttentionShape ShapeOf(int64_t steps, int64_t head_width, const AttentionOptions& options) {
  AttentionShape shape;
  shape.steps = steps;
  shape.heads = options.heads;
  shape.key_heads = options.key_value_heads;
  shape.head_width = head_width;
  shape.causal = options.causal;
  shape.scale = 1.0f / std::sqrt(static_cast<float>(head_width));
  return shape;
}

}  // namespace

int AppendFusedAttention(GraphBuilder& builder, const std::string& name, int input,
                         const AttentionOptions& options) {
  const std::vector<int64_t> in = builder.shape(input);
  const int64_t head_width = in[1] / (options.heads + 2 * options.key_value_heads);
  AttentionShape shape = ShapeOf(in[0], head_width, options);
  shape.q_stride = shape.k_stride = shape.v_stride = in[1];
  return builder.Append(std::make_unique<AttentionNode>(name, shape), {input},
                        {in[0], options.heads * head_width});
}

int AppendAttention(GraphBuilder& builder, const std::string& name, int query, int key, int value,
                    const AttentionOptions& options) {
  const std::vector<int64_t> in = builder.shape(query);
  AttentionShape shape = ShapeOf(in[0], in[1] / options.heads, options);
  shape.q_stride = in[1];
  shape.k_stride = shape.v_stride = options.key_value_heads * shape.head_width;
  return builder.Append(std::make_unique<AttentionNode>(name, shape), {query, key, value}, in);
}

}  // namespace lockstep::engine
