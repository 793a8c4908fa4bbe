#include "worker/engine/embedding.h"

#include <algorithm>
#include <vector>

#include "kernels/cuda/arrange.h"
#include "kernels/cuda/embedding.h"
#include "kernels/cuda/shard_outer.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/products.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;

// int32s of a list of the places of a batch.
int64_t ListOf(int64_t places) { return (places + 1 + 15) / 16 * 16; }

// The places' order by token is the host's work, from where the tokens come: a table of its own is summed by
// buckets, the one that is the output layer's weight as well in the sweep of that layer's gradient.
class DeviceEmbedding final : public DeviceOp {
 public:
  DeviceEmbedding(const EmbeddingShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        type_(TypeOf(context.precision)),
        tied_(context.kept != nullptr),
        table_(context.parameter(shape.table).offset),
        positions_(shape.positions < 0 ? -1 : context.parameter(shape.positions).offset),
        list_(ListOf(context.rows * shape.steps)),
        sorting_(static_cast<size_t>(kernels::BucketScratch(context.rows * shape.steps))),
        most_buckets_(std::min(context.rows * shape.steps, shape.vocabulary)) {}

  void Stage(const HostBatch& batch) override {
    kernels::ShardTree tree = batch.tree;
    tree.positions *= static_cast<int>(shape_.steps);
    auto* const lists = static_cast<int32_t*>(context_.staging);
    if (tied_) {
      return kernels::cpu::OrderByToken(tree, 0, tree.shards(), batch.tokens, sorting_.data(), lists);
    }
    kernels::TokenBuckets buckets = BucketsAt(lists);
    kernels::cpu::BucketTokens(tree, batch.tokens, sorting_.data(), buckets);
    std::fill(buckets.begin + buckets.count + 1, buckets.begin + most_buckets_ + 1,
              buckets.begin[buckets.count]);
  }

  Launched Forward(const DevicePass& pass) override {
    return kernels::cuda::EmbeddingForward(
        pass.rows, shape_.steps, shape_.width, context_.tokens(), pass.weights + table_,
        positions_ < 0 ? nullptr : pass.weights + positions_, context_.output, pass.stream);
  }

  Launched Backward(const DevicePass& pass) override {
    RETURN_IF_NOT_LAUNCHED(tied_ ? TiedTable(pass) : Table(pass));
    if (positions_ < 0) return {};
    const int64_t used = shape_.steps * shape_.width, all = shape_.context * shape_.width;
    float* const sums = pass.node_sums + positions_;
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::ShardColumnSum(pass.tree, used, context_.output_gradient, used,
                                                         sums, pass.gradient_size, context_.scratch,
                                                         pass.stream));
    return kernels::cuda::ZeroBlocks(pass.tree.nodes, all - used, sums + used, pass.gradient_size,
                                     pass.stream);
  }

 private:
  kernels::TokenBuckets BucketsAt(int32_t* lists) const {
    return {lists, lists + list_, lists + 2 * list_, 0};
  }

  Launched Table(const DevicePass& pass) const {
    kernels::TokenBuckets buckets = BucketsAt(static_cast<int32_t*>(const_cast<void*>(context_.staged)));
    buckets.count = most_buckets_;
    float* const sums = pass.node_sums + table_;
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::ZeroBlocks(pass.tree.nodes, shape_.vocabulary * shape_.width, sums,
                                                     pass.gradient_size, pass.stream));
    return kernels::cuda::EmbeddingBackward(Positions(pass.tree, shape_.steps), buckets, shape_.width,
                                            context_.output_gradient, sums, pass.gradient_size, pass.stream);
  }

  // The output layer's gradient and the embedding's, leaf by leaf.
  Launched TiedTable(const DevicePass& pass) const {
    kernels::OuterProduct product;
    product.m = shape_.vocabulary;
    product.n = shape_.width;
    product.a = context_.graph_gradient;
    product.lda = shape_.vocabulary;
    product.b = context_.kept;
    product.ldb = shape_.width;
    product.out = pass.node_sums + table_;
    product.node_stride = pass.gradient_size;
    product.add = {context_.tokens(), static_cast<const int32_t*>(context_.staged), context_.output_gradient,
                   shape_.width};
    return kernels::cuda::ShardOuterProduct(type_, Positions(pass.tree, shape_.steps), product,
                                            context_.scratch, pass.stream);
  }

  const EmbeddingShape shape_;
  const OpContext context_;
  const kernels::GemmType type_;
  const bool tied_;
  const int64_t table_, positions_;  // offsets in the flat buffer; no positions: -1
  const int64_t list_;
  std::vector<int32_t> sorting_;
  const int64_t most_buckets_;  // those that a batch does not have are empty, as a launch has a fixed shape
};

}  // namespace

int64_t DeviceEmbeddingScratch(const EmbeddingShape& shape, bool tied, const Extent& extent) {
  const kernels::DeviceTree tree = TreeOf(extent);
  const int64_t of_positions = kernels::cuda::ColumnScratch(tree, shape.steps * shape.width);
  if (!tied) return of_positions;
  return std::max(of_positions, kernels::cuda::ShardOuterScratch(shape.vocabulary, shape.width, tree.shards));
}

int64_t DeviceEmbeddingStaging(const EmbeddingShape& shape, bool tied, const Extent& extent) {
  return (tied ? 1 : 3) * ListOf(extent.rows * shape.steps);
}

std::unique_ptr<DeviceOp> MakeDeviceEmbedding(const EmbeddingShape& shape, const OpContext& context) {
  return std::make_unique<DeviceEmbedding>(shape, context);
}

}  // namespace lockstep::engine
