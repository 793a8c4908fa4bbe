#include "worker/engine/batch_norm.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/batch_norm.h"
#include "kernels/shard_outer.h"
#include "kernels/tree_add.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/op.h"

namespace lockstep::engine {
namespace {

constexpr int64_t kChannelsAtOnce = 64;  // of one shard: what a member takes at a time

class BatchNormOp final : public Op {
 public:
  // mean, inverse and variance of each shard; prediction needs one row of inverses.
  static int64_t Workspace(const BatchNormLayer& layer, int64_t shards) {
    return 3 * shards * layer.channels;
  }
  // What each shard adds to the gradients and the statistics.
  static int64_t Scratch(const BatchNormLayer& layer, int64_t shards) { return 4 * shards * layer.channels; }

  BatchNormOp(const BatchNormLayer& layer, const OpContext& context)
      : layer_(layer),
        context_(context),
        ones_(static_cast<size_t>(context.shards), 1),
        mean_(context.workspace),
        inverse_(mean_ + context.shards * layer.channels),
        variance_(inverse_ + context.shards * layer.channels) {
    const int parameters[4] = {layer.weight, layer.bias, layer.running_mean, layer.running_variance};
    for (int i = 0; i < 4; ++i) {
      offsets_[i] = context.parameter(parameters[i]).offset;
      leaves_[i] = context.scratch + i * context.shards * layer.channels;
    }
  }

  void Forward(const Pass& pass, const Member& member) override {
    if (pass.training) {
      ForParts(pass, member, [&](int shard, int64_t pixels, const Range& channels) {
        float* const mean = mean_ + shard * layer_.channels;
        float* const variance = variance_ + shard * layer_.channels;
        kernels::cpu::BatchNormStatistics(pixels, layer_.channels, channels.begin, channels.end,
                                          context_.input() + First(shard), mean, variance);
        kernels::cpu::BatchNormInverse(channels.end - channels.begin, layer_.epsilon,
                                       variance + channels.begin,
                                       inverse_ + shard * layer_.channels + channels.begin);
      });
    } else {
      const Range channels = member.Share(layer_.channels, 16);
      const float* variance = pass.weights + offsets_[3] + channels.begin;
      kernels::cpu::BatchNormInverse(channels.end - channels.begin, layer_.epsilon, variance,
                                     inverse_ + channels.begin);
    }
    member.Barrier();
    ForRows(pass, member, [&](int shard, int64_t first, int64_t rows, bool real) {
      float* const y = context_.output + first * layer_.width();
      if (!real) {  // rows that nobody reads; zeros, so that they stay finite
        std::memset(y, 0, static_cast<size_t>(rows * layer_.width()) * sizeof(float));
        return;
      }
      kernels::cpu::BatchNormForward(rows * layer_.pixels, layer_.channels, Factors(pass, shard),
                                     context_.input() + first * layer_.width(),
                                     layer_.residual ? context_.inputs[1] + first * layer_.width() : nullptr,
                                     layer_.relu, y);
    });
  }

  void Backward(const Pass& pass, const Member& member) override {
    float* const dy = context_.output_gradient;
    ForParts(pass, member, [&](int shard, int64_t pixels, const Range& channels) {
      const int64_t first = First(shard), at = shard * layer_.channels;
      kernels::cpu::BatchNormSums(pixels, layer_.channels, channels.begin, channels.end, Factors(pass, shard),
                                  context_.input() + first,
                                  layer_.masked() ? context_.output + first : nullptr, layer_.relu,
                                  dy + first, leaves_[0] + at, leaves_[1] + at);
      // PyTorch's running variance is unbiased.
      const float share = static_cast<float>(pass.tree->rows[shard]) / static_cast<float>(pass.batch_rows);
      const float unbias = pixels > 1 ? static_cast<float>(pixels) / static_cast<float>(pixels - 1) : 1.0f;
      for (int64_t c = at + channels.begin; c < at + channels.end; ++c) {
        leaves_[2][c] = share * mean_[c];
        leaves_[3][c] = share * unbias * variance_[c];
      }
    });
    member.Barrier();
    SumLeaves(pass, member);
    ForRows(pass, member, [&](int shard, int64_t first, int64_t rows, bool real) {
      InputGradientOf(pass, shard, first, rows, real);
      const int64_t at = first * layer_.width();
      // After the input's: both may be one value, whose second gradient is added to the first.
      if (layer_.residual) PassOn(context_.input_gradients[1], dy + at, at, rows * layer_.width());
    });
  }

 private:
  int64_t First(int shard) const { return shard * context_.rows_per_shard * layer_.width(); }

  kernels::BatchNormFactors Factors(const Pass& pass, int shard) const {
    const float* gamma = pass.weights + offsets_[0];
    const float* beta = pass.weights + offsets_[1];
    if (!pass.training) return {pass.weights + offsets_[2], inverse_, gamma, beta};
    return {mean_ + shard * layer_.channels, inverse_ + shard * layer_.channels, gamma, beta};
  }

  void InputGradientOf(const Pass& pass, int shard, int64_t first, int64_t rows, bool real) const {
    const InputGradient& dx = context_.input_gradients[0];
    if (dx.data == nullptr) return;
    const int64_t at = first * layer_.width(), leaf = shard * layer_.channels;
    if (!real) {
      if (!dx.add) std::memset(dx.data + at, 0, static_cast<size_t>(rows * layer_.width()) * sizeof(float));
      return;
    }
    kernels::cpu::BatchNormInputGradient(
        pass.tree->rows[shard] * layer_.pixels, rows * layer_.pixels, layer_.channels, Factors(pass, shard),
        leaves_[0] + leaf, leaves_[1] + leaf, context_.input() + at, layer_.relu && !layer_.masked(),
        context_.output_gradient + at, dx.add, dx.data + at);
  }

  // Calls f(shard, real pixels, channels) for this member's part of all shards' channels.
  template <typename F>
  void ForParts(const Pass& pass, const Member& member, F f) const {
    const int64_t blocks = (layer_.channels + kChannelsAtOnce - 1) / kChannelsAtOnce;
    const Range share = member.Share(context_.shards * blocks);
    for (int64_t part = share.begin; part < share.end; ++part) {
      const int shard = static_cast<int>(part / blocks);
      const int64_t begin = part % blocks * kChannelsAtOnce;
      f(shard, pass.tree->rows[shard] * layer_.pixels,
        Range{begin, std::min(begin + kChannelsAtOnce, layer_.channels)});
    }
  }

  // Calls f(shard, first row, rows, are they real) for this member's part of all rows.
  template <typename F>
  void ForRows(const Pass& pass, const Member& member, F f) const {
    const Range share = member.Share(pass.rows);
    if (!pass.training) return f(0, share.begin, share.end - share.begin, true);
    for (int shard = 0; shard < context_.shards; ++shard) {
      const int64_t first = shard * context_.rows_per_shard, last = first + context_.rows_per_shard;
      const int64_t begin = std::max(first, share.begin), end = std::min(last, share.end);
      const int64_t real = std::clamp(first + pass.tree->rows[shard], begin, std::max(begin, end));
      if (begin < real) f(shard, begin, real - begin, true);
      if (real < end) f(shard, real, end - real, false);
    }
  }

  // The shards' leaves of gamma, beta and both statistics, added in the tree's order.
  void SumLeaves(const Pass& pass, const Member& member) const {
    kernels::ShardTree tree = *pass.tree;
    tree.rows_per_shard = 1;
    tree.rows = ones_.data();
    const Range channels = member.Share(layer_.channels, 16);
    for (int i = 0; i < 4; ++i) {
      kernels::cpu::ShardColumnSum(tree, channels.begin, channels.end, leaves_[i], layer_.channels,
                                   pass.node_sums + offsets_[i], pass.gradient_size);
    }
  }

  static void PassOn(const InputGradient& to, const float* from, int64_t at, int64_t count) {
    if (to.data == nullptr) return;
    if (to.add) return kernels::cpu::TreeAddInto(count, from, to.data + at);
    std::memcpy(to.data + at, from, static_cast<size_t>(count) * sizeof(float));
  }

  const BatchNormLayer layer_;
  const OpContext context_;
  const std::vector<int> ones_;  // a leaf is one row
  int64_t offsets_[4];           // in the flat buffer: gamma, beta, running mean, running variance
  float* leaves_[4];             // each (shards, channels): what the shards add to them
  float* const mean_;            // (shards, channels)
  float* const inverse_;
  float* const variance_;
};

class BatchNormNode final : public Node {
 public:
  BatchNormNode(std::string name, const BatchNormLayer& layer) : name_(std::move(name)), layer_(layer) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "batch_norm"; }
  bool BackwardReadsInput(int input) const override { return input == 0; }
  bool BackwardReadsOutput() const override { return layer_.masked(); }
  bool OverwritesOutputGradient() const override { return layer_.masked(); }
  bool AddsInputGradient() const override { return true; }
  int64_t Workspace(const Extent& extent) const override {
    return BatchNormOp::Workspace(layer_, extent.rows / extent.rows_per_shard);
  }
  int64_t Scratch(const Extent& extent) const override {
    if (extent.on_device) return DeviceBatchNormScratch(layer_, extent);
    return BatchNormOp::Scratch(layer_, extent.rows / extent.rows_per_shard);
  }
  double Flops() const override { return 4.0 * static_cast<double>(layer_.width()); }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<BatchNormOp>(layer_, context);
  }
  int64_t DeviceConstants(const Extent& extent) const override { return DeviceBatchNormConstants(extent); }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceBatchNorm(layer_, context);
  }

 private:
  const std::string name_;
  const BatchNormLayer layer_;
};

}  // namespace

int AppendBatchNorm(GraphBuilder& builder, const std::string& name, int input,
                    const BatchNormOptions& options) {
  const std::vector<int64_t> shape = builder.shape(input);
  BatchNormLayer layer;
  layer.channels = shape.back();
  layer.pixels = builder.width(input) / layer.channels;
  layer.epsilon = static_cast<float>(options.epsilon);
  layer.relu = options.relu;
  layer.residual = options.residual >= 0;
  layer.weight = builder.AddParameter(name + ".weight", {layer.channels}, false, {1, Initializer::kConstant});
  layer.bias = builder.AddParameter(name + ".bias", {layer.channels}, false, {0, Initializer::kConstant});
  layer.running_mean = builder.AddStatistic(name + ".running_mean", {layer.channels}, options.momentum, 0);
  layer.running_variance = builder.AddStatistic(name + ".running_var", {layer.channels}, options.momentum, 1);
  std::vector<int> inputs = {input};
  if (layer.residual) inputs.push_back(options.residual);
  return builder.Append(std::make_unique<BatchNormNode>(name, layer), inputs, shape,
                        {layer.weight, layer.bias, layer.running_mean, layer.running_variance});
}

}  // namespace lockstep::engine
