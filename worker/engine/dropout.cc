#include "worker/engine/dropout.h"

#include <cstring>
#include <utility>

#include "kernels/dropout.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

class DropoutOp final : public Op {
 public:
  DropoutOp(double probability, int64_t width, const OpContext& context)
      : probability_(probability),
        width_(width),
        context_(context),
        mask_(reinterpret_cast<uint8_t*>(context.workspace)) {}

  void Forward(const Pass& pass) override {
    if (!pass.training) {
      std::memcpy(context_.output, context_.input, static_cast<size_t>(pass.rows * width_) * sizeof(float));
      return;
    }
    kernels::DropoutKey key;
    key.seed = context_.seed;
    key.layer = static_cast<uint32_t>(context_.node);
    key.step = pass.step;
    key.first_row = static_cast<uint32_t>(context_.first_row);
    kernels::cpu::DropoutForward(key, probability_, pass.rows, width_, context_.input, context_.output,
                                 mask_);
  }

  void Backward(const Pass& pass) override {
    if (context_.input_gradient == nullptr) return;
    kernels::cpu::DropoutBackward(probability_, pass.rows * width_, mask_, context_.output_gradient,
                                  context_.input_gradient);
  }

 private:
  const double probability_;
  const int64_t width_;
  const OpContext context_;
  uint8_t* const mask_;  // (rows, width)
};

class DropoutNode final : public Node {
 public:
  DropoutNode(std::string name, double probability, int64_t width)
      : name_(std::move(name)), probability_(probability), width_(width) {}
  std::string name() const override { return name_; }
  bool backward_reads_input() const override { return false; }
  bool backward_reads_output() const override { return false; }
  int64_t workspace(int64_t rows) const override { return (rows * width_ + 3) / 4; }  // one byte each
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<DropoutOp>(probability_, width_, context);
  }

 private:
  const std::string name_;
  const double probability_;
  const int64_t width_;
};

}  // namespace

int AppendDropout(GraphBuilder& builder, const std::string& name, int input, double probability) {
  return builder.Append(std::make_unique<DropoutNode>(name, probability, builder.width(input)), input,
                        builder.shape(input));
}

}  // namespace lockstep::engine
