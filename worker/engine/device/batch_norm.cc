#include "worker/engine/batch_norm.h"

#include <algorithm>

#include "kernels/cuda/arrange.h"
#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/combine.h"
#include "kernels/cuda/shard_outer.h"
#include "worker/engine/device/ops.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;

// A launch, or some, for each shard, which is normalised by itself.
class DeviceBatchNorm final : public DeviceOp {
 public:
  DeviceBatchNorm(const BatchNormLayer& layer, const OpContext& context)
      : layer_(layer),
        context_(context),
        mean_(context.workspace),
        inverse_(mean_ + context.shards * layer.channels),
        variance_(inverse_ + context.shards * layer.channels),
        sums_(context.scratch + 4 * context.shards * layer.channels) {
    const int parameters[4] = {layer.weight, layer.bias, layer.running_mean, layer.running_variance};
    for (int i = 0; i < 4; ++i) {
      offsets_[i] = context.parameter(parameters[i]).offset;
      leaves_[i] = context.scratch + i * context.shards * layer.channels;
    }
  }

  // A leaf is one row.
  void FillConstants(void* host) const override { std::fill_n(static_cast<int*>(host), context_.shards, 1); }

  Launched Forward(const DevicePass& pass) override {
    if (!pass.training) {
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::BatchNormInverse(
          layer_.channels, layer_.epsilon, pass.weights + offsets_[3], inverse_, pass.stream));
      return Normalise(pass, 0, 0, pass.rows);
    }
    for (int shard = 0; shard < context_.shards; ++shard) {
      const int64_t first = FirstRow(shard), real = pass.shard_rows[shard], at = shard * layer_.channels;
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::BatchNormStatistics(
          real * layer_.pixels, layer_.channels, context_.input() + first * layer_.width(), mean_ + at,
          variance_ + at, sums_, pass.stream));
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::BatchNormInverse(layer_.channels, layer_.epsilon, variance_ + at,
                                                             inverse_ + at, pass.stream));
      RETURN_IF_NOT_LAUNCHED(Normalise(pass, shard, first, real));
      RETURN_IF_NOT_LAUNCHED(Clear(pass, first + real, context_.rows_per_shard - real, context_.output));
    }
    return {};
  }

  Launched Backward(const DevicePass& pass) override {
    for (int shard = 0; shard < context_.shards; ++shard) {
      RETURN_IF_NOT_LAUNCHED(LeavesOf(pass, shard));
    }
    kernels::DeviceTree tree = pass.tree;
    tree.rows_per_shard = 1;
    tree.rows = static_cast<const int*>(context_.device_constants);
    for (int i = 0; i < 4; ++i) {
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::ShardColumnSum(tree, layer_.channels, leaves_[i], layer_.channels,
                                                           pass.node_sums + offsets_[i], pass.gradient_size,
                                                           sums_, pass.stream));
    }
    if (context_.input_gradients[0].data != nullptr) {
      for (int shard = 0; shard < context_.shards; ++shard) {
        RETURN_IF_NOT_LAUNCHED(InputGradientOf(pass, shard));
      }
    }
    // After the input's: both may be one value, whose second gradient is added to the first.
    if (!layer_.residual || context_.input_gradients[1].data == nullptr) return {};
    const InputGradient& to = context_.input_gradients[1];
    return kernels::cuda::CopyBlocks(pass.rows, layer_.width(), context_.output_gradient, layer_.width(),
                                     to.add, to.data, layer_.width(), pass.stream);
  }

 private:
  int64_t FirstRow(int shard) const { return shard * context_.rows_per_shard; }

  kernels::BatchNormFactors Factors(const DevicePass& pass, int shard) const {
    const float* const gamma = pass.weights + offsets_[0];
    const float* const beta = pass.weights + offsets_[1];
    if (!pass.training) return {pass.weights + offsets_[2], inverse_, gamma, beta};
    return {mean_ + shard * layer_.channels, inverse_ + shard * layer_.channels, gamma, beta};
  }

  Launched Normalise(const DevicePass& pass, int shard, int64_t first, int64_t rows) const {
    const int64_t at = first * layer_.width();
    return kernels::cuda::BatchNormForward(
        rows * layer_.pixels, layer_.channels, Factors(pass, shard), context_.input() + at,
        layer_.residual ? context_.inputs[1] + at : nullptr, layer_.relu, context_.output + at, pass.stream);
  }

  // Rows that nobody reads; zeros, so that they stay finite.
  Launched Clear(const DevicePass& pass, int64_t first, int64_t rows, float* of) const {
    return kernels::cuda::ZeroBlocks(rows, layer_.width(), of + first * layer_.width(), layer_.width(),
                                     pass.stream);
  }

  // What a shard adds to both gradients and both statistics.
  Launched LeavesOf(const DevicePass& pass, int shard) const {
    const int64_t first = FirstRow(shard), real = pass.shard_rows[shard], pixels = real * layer_.pixels,
                  at = shard * layer_.channels;
    float* const dy = context_.output_gradient + first * layer_.width();
    const float* const y = layer_.masked() ? context_.output + first * layer_.width() : nullptr;
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::BatchNormSums(
        pixels, layer_.channels, Factors(pass, shard), context_.input() + first * layer_.width(), y,
        layer_.relu, dy, leaves_[0] + at, leaves_[1] + at, sums_, pass.stream));
    // PyTorch's running variance is unbiased.
    const float share = static_cast<float>(real) / static_cast<float>(pass.batch_rows);
    const float unbias = pixels > 1 ? static_cast<float>(pixels) / static_cast<float>(pixels - 1) : 1.0f;
    RETURN_IF_NOT_LAUNCHED(Scaled(pass, share, mean_ + at, leaves_[2] + at));
    return Scaled(pass, share * unbias, variance_ + at, leaves_[3] + at);
  }

  Launched Scaled(const DevicePass& pass, float factor, const float* from, float* to) const {
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::ZeroBlocks(1, layer_.channels, to, layer_.channels, pass.stream));
    return kernels::cuda::Combine(layer_.channels, factor, from, 0.0f, to, pass.stream);
  }

  Launched InputGradientOf(const DevicePass& pass, int shard) const {
    const InputGradient& dx = context_.input_gradients[0];
    const int64_t first = FirstRow(shard), real = pass.shard_rows[shard], at = first * layer_.width(),
                  leaf = shard * layer_.channels, pixels = real * layer_.pixels;
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::BatchNormInputGradient(
        pixels, pixels, layer_.channels, Factors(pass, shard), leaves_[0] + leaf, leaves_[1] + leaf,
        context_.input() + at, layer_.relu && !layer_.masked(), context_.output_gradient + at, dx.add,
        dx.data + at, pass.stream));
    if (dx.add) return {};
    return Clear(pass, first + real, context_.rows_per_shard - real, dx.data);
  }

  const BatchNormLayer layer_;
  const OpContext context_;
  int64_t offsets_[4];  // in the flat buffer: gamma, beta, running mean, variance
  float* leaves_[4];    // each (shards, channels): what the shards add to them
  float *const mean_, *const inverse_, *const variance_;  // (shards, channels)
  float* const sums_;                                     // scratch of the sums
};

}  // namespace

int64_t DeviceBatchNormScratch(const BatchNormLayer& layer, const Extent& extent) {
  kernels::DeviceTree tree = TreeOf(extent);
  tree.rows_per_shard = 1;
  return 4 * tree.shards * layer.channels +
         std::max(kernels::cuda::BatchNormScratch(extent.rows_per_shard * layer.pixels, layer.channels),
                  kernels::cuda::ColumnScratch(tree, layer.channels));
}

int64_t DeviceBatchNormConstants(const Extent& extent) { return extent.rows / extent.rows_per_shard; }

std::unique_ptr<DeviceOp> MakeDeviceBatchNorm(const BatchNormLayer& layer, const OpContext& context) {
  return std::make_unique<DeviceBatchNorm>(layer, context);
}

}  // namespace lockstep::engine
