#include "worker/engine/reshape.h"

#include <algorithm>
#include <utility>

#include "kernels/arrange.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

// Reshape is the transposition that exchanges nothing.
class TransposeOp final : public Op {
 public:
  TransposeOp(const kernels::Permutation& forward, int64_t width, const OpContext& context)
      : forward_(forward), backward_(forward), width_(width), context_(context) {
    for (int i = 0; i < forward.rank; ++i) {
      backward_.shape[i] = forward.shape[forward.axes[i]];
      backward_.axes[forward.axes[i]] = i;
    }
  }

  void Forward(const Pass& pass, const Member& member) override {
    const Range rows = member.Share(pass.rows);
    kernels::cpu::Permute(forward_, rows.end - rows.begin, context_.input() + rows.begin * width_, false,
                          context_.output + rows.begin * width_);
  }

  void Backward(const Pass& pass, const Member& member) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return;
    const Range rows = member.Share(pass.rows);
    kernels::cpu::Permute(backward_, rows.end - rows.begin, context_.output_gradient + rows.begin * width_,
                          dx.add, dx.data + rows.begin * width_);
  }

 private:
  const kernels::Permutation forward_;
  kernels::Permutation backward_;
  const int64_t width_;
  const OpContext context_;
};

class TransposeNode final : public Node {
 public:
  TransposeNode(std::string name, const kernels::Permutation& permutation, int64_t width)
      : name_(std::move(name)), permutation_(permutation), width_(width) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return reshapes() ? "reshape" : "transpose"; }
  bool AddsInputGradient() const override { return true; }
  bool PassesGradient() const override { return reshapes(); }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<TransposeOp>(permutation_, width_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceTranspose(permutation_, context);
  }

 private:
  bool reshapes() const { return std::is_sorted(permutation_.axes, permutation_.axes + permutation_.rank); }

  const std::string name_;
  const kernels::Permutation permutation_;
  const int64_t width_;
};

class LastOp final : public Op {
 public:
  LastOp(int64_t steps, int64_t width, const OpContext& context)
      : steps_(steps), width_(width), context_(context) {}

  void Forward(const Pass& pass, const Member& member) override {
    const Range rows = member.Share(pass.rows);
    kernels::cpu::CopyBlocks(rows.end - rows.begin, width_, context_.input() + Last(rows.begin),
                             steps_ * width_, false, context_.output + rows.begin * width_, width_);
  }

  void Backward(const Pass& pass, const Member& member) override {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return;
    const Range rows = member.Share(pass.rows);
    if (!dx.add) {
      std::fill(dx.data + rows.begin * steps_ * width_, dx.data + rows.end * steps_ * width_, 0.0f);
    }
    kernels::cpu::CopyBlocks(rows.end - rows.begin, width_, context_.output_gradient + rows.begin * width_,
                             width_, dx.add, dx.data + Last(rows.begin), steps_ * width_);
  }

 private:
  int64_t Last(int64_t row) const { return (row * steps_ + steps_ - 1) * width_; }

  const int64_t steps_, width_;
  const OpContext context_;
};

class LastNode final : public Node {
 public:
  LastNode(std::string name, int64_t steps, int64_t width)
      : name_(std::move(name)), steps_(steps), width_(width) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "last"; }
  bool AddsInputGradient() const override { return true; }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<LastOp>(steps_, width_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceLast(steps_, width_, context);
  }

 private:
  const std::string name_;
  const int64_t steps_, width_;
};

}  // namespace

int AppendReshape(GraphBuilder& builder, const std::string& name, int input, std::vector<int64_t> shape) {
  const kernels::Permutation same{1, {builder.width(input)}, {0}};
  return builder.Append(std::make_unique<TransposeNode>(name, same, builder.width(input)), {input},
                        std::move(shape));
}

int AppendTranspose(GraphBuilder& builder, const std::string& name, int input, const std::vector<int>& axes) {
  const std::vector<int64_t> in = builder.shape(input);
  kernels::Permutation permutation;
  permutation.rank = static_cast<int>(in.size());
  std::vector<int64_t> out;
  for (size_t i = 0; i < in.size(); ++i) {
    permutation.shape[i] = in[i];
    permutation.axes[i] = axes[i];
    out.push_back(in[axes[i]]);
  }
  return builder.Append(std::make_unique<TransposeNode>(name, permutation, builder.width(input)), {input},
                        std::move(out));
}

int AppendLast(GraphBuilder& builder, const std::string& name, int input) {
  const std::vector<int64_t> in = builder.shape(input);
  return builder.Append(std::make_unique<LastNode>(name, in[0], builder.width(input) / in[0]), {input},
                        {in.begin() + 1, in.end()});
}

}  // namespace lockstep::engine
