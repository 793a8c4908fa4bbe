#include "worker/engine/flatten.h"

#include <cstring>
#include <utility>

#include "kernels/gemm.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

class FlattenOp final : public Op {
 public:
  FlattenOp(int64_t pixels, int64_t channels, const OpContext& context)
      : pixels_(pixels), channels_(channels), context_(context) {}

  void Forward(const Pass& pass, const Member& member) override {
    Move(pass, member, pixels_, channels_, context_.input(), context_.output);
  }
  void Backward(const Pass& pass, const Member& member) override {
    float* const dx = context_.input_gradients[0].data;
    if (dx != nullptr) Move(pass, member, channels_, pixels_, context_.output_gradient, dx);
  }

 private:
  // Each row as a matrix (rows, columns), transposed.
  static void Move(const Pass& pass, const Member& member, int64_t rows, int64_t columns, const float* from,
                   float* to) {
    const Range share = member.Share(pass.rows);
    if (rows == 1 || columns == 1) {
      std::memcpy(to + share.begin * rows * columns, from + share.begin * rows * columns,
                  static_cast<size_t>((share.end - share.begin) * rows * columns) * sizeof(float));
      return;
    }
    for (int64_t n = share.begin; n < share.end; ++n) {
      kernels::cpu::Transpose(rows, columns, from + n * rows * columns, to + n * rows * columns);
    }
  }

  const int64_t pixels_, channels_;
  const OpContext context_;
};

class FlattenNode final : public Node {
 public:
  FlattenNode(std::string name, int64_t pixels, int64_t channels)
      : name_(std::move(name)), pixels_(pixels), channels_(channels) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "flatten"; }
  bool PassesGradient() const override { return pixels_ == 1 || channels_ == 1; }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<FlattenOp>(pixels_, channels_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceFlatten(pixels_, channels_, context);
  }

 private:
  const std::string name_;
  const int64_t pixels_, channels_;
};

}  // namespace

int AppendFlatten(GraphBuilder& builder, const std::string& name, int input) {
  const std::vector<int64_t>& from = builder.shape(input);
  return builder.Append(std::make_unique<FlattenNode>(name, from[0] * from[1], from[2]), {input},
                        {from[0] * from[1] * from[2]});
}

}  // namespace lockstep::engine
