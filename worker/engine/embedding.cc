#include "worker/engine/embedding.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/embedding.h"
#include "worker/engine/device/ops.h"
#include "worker/engine/linear.h"
#include "worker/engine/op.h"
#include "worker/engine/products.h"

namespace lockstep::engine {
namespace {

// int32s for one batch of places, rounded up to whole cache lines.
int64_t PlaceList(int64_t places) { return (places + 1 + 15) / 16 * 16; }

class EmbeddingOp final : public Op {
 public:
  EmbeddingOp(const EmbeddingShape& shape, const OpContext& context)
      : shape_(shape),
        context_(context),
        type_(TypeOf(context.precision)),
        table_(context.parameter(shape.table).offset),
        positions_(shape.positions < 0 ? -1 : context.parameter(shape.positions).offset) {
    const int64_t list = PlaceList(context.rows * shape.steps);
    int32_t* const lists = reinterpret_cast<int32_t*>(context.scratch);
    buckets_ = {lists, lists + list, lists + 2 * list, 0};
    sorting_ = lists + 3 * list;
    products_ = context.scratch + 5 * list;
  }

  void Forward(const Pass& pass, const Member& member) override {
    const Range rows = member.Share(pass.rows);
    kernels::cpu::EmbeddingForward(rows.end - rows.begin, shape_.steps, shape_.width,
                                   context_.tokens() + rows.begin * shape_.steps, pass.weights + table_,
                                   positions_ < 0 ? nullptr : pass.weights + positions_,
                                   context_.output + rows.begin * shape_.steps * shape_.width);
  }

  void Backward(const Pass& pass, const Member& member) override {
    if (context_.kept != nullptr) {
      TiedTable(pass, member);
    } else {
      Table(pass, member);
    }
    if (positions_ < 0) return;
    const int64_t used = shape_.steps * shape_.width, all = shape_.context * shape_.width;
    const Range columns = member.Share(used, 16);
    kernels::cpu::ShardColumnSum(*pass.tree, columns.begin, columns.end, context_.output_gradient, used,
                                 pass.node_sums + positions_, pass.gradient_size);
    Clear(pass, positions_ + used, member.Share(all - used, 16));
  }

 private:
  static void Clear(const Pass& pass, int64_t offset, const Range& range) {
    for (int node = 0; node < pass.tree->nodes; ++node) {
      float* sums = pass.node_sums + node * pass.gradient_size + offset;
      std::fill(sums + range.begin, sums + range.end, 0.0f);
    }
  }

  void Table(const Pass& pass, const Member& member) {
    const kernels::ShardTree tree = Positions(*pass.tree, shape_.steps);
    if (member.index == 0) kernels::cpu::BucketTokens(tree, context_.tokens(), sorting_, buckets_);
    Clear(pass, table_, member.Share(shape_.vocabulary * shape_.width, 16));
    member.Barrier();
    const Range buckets = member.Share(buckets_.count);
    kernels::cpu::EmbeddingBackward(tree, buckets_, buckets.begin, buckets.end, shape_.width,
                                    context_.output_gradient, pass.node_sums + table_, pass.gradient_size);
  }

  // The output layer's gradient and the embedding's in one sweep over the table.
  void TiedTable(const Pass& pass, const Member& member) {
    const kernels::ShardTree tree = Positions(*pass.tree, shape_.steps);
    const Range shards = member.Share(tree.shards());
    kernels::cpu::OrderByToken(tree, static_cast<int>(shards.begin), static_cast<int>(shards.end),
                               context_.tokens(), sorting_, buckets_.place);
    member.Barrier();
    kernels::OuterProduct product;
    product.m = shape_.vocabulary;
    product.n = shape_.width;
    product.a = context_.graph_gradient;
    product.lda = shape_.vocabulary;
    product.b = context_.kept;
    product.ldb = shape_.width;
    product.out = pass.node_sums + table_;
    product.node_stride = pass.gradient_size;
    product.add = {context_.tokens(), buckets_.place, context_.output_gradient, shape_.width};
    SharedOuterProduct(member, type_, tree, product,
                       products_ + member.index * ProductScratch(context_.rows * shape_.steps));
  }

  const EmbeddingShape shape_;
  const OpContext context_;
  const kernels::GemmType type_;
  const int64_t table_, positions_;  // offsets in the flat buffer; no positions: -1
  kernels::TokenBuckets buckets_;    // of the pass; written by member 0
  int32_t* sorting_;
  float* products_;
};

class EmbeddingNode final : public Node {
 public:
  EmbeddingNode(std::string name, const EmbeddingShape& shape) : name_(std::move(name)), shape_(shape) {}
  std::string name() const override { return name_; }
  std::string kind() const override { return "embedding"; }
  bool BackwardReadsInput(int) const override { return true; }
  int64_t Scratch(const Extent& extent) const override {
    if (extent.on_device) return DeviceEmbeddingScratch(shape_, kept >= 0, extent);
    const int64_t places = extent.rows * shape_.steps;
    return 5 * PlaceList(places) + (kept < 0 ? 0 : extent.threads * ProductScratch(places));
  }
  int64_t DeviceStaging(const Extent& extent) const override {
    return DeviceEmbeddingStaging(shape_, kept >= 0, extent);
  }
  std::unique_ptr<Op> Bind(const OpContext& context) const override {
    return std::make_unique<EmbeddingOp>(shape_, context);
  }
  std::unique_ptr<DeviceOp> BindDevice(const OpContext& context) const override {
    return MakeDeviceEmbedding(shape_, context);
  }

 private:
  const std::string name_;
  const EmbeddingShape shape_;
};

}  // namespace

EmbeddingValue AppendEmbedding(GraphBuilder& builder, const std::string& name, int tokens,
                               const EmbeddingOptions& options) {
  EmbeddingShape shape;
  shape.steps = builder.shape(tokens)[0];
  shape.vocabulary = options.vocabulary;
  shape.width = options.width;
  shape.context = options.context;
  shape.table =
      builder.AddParameter(name + ".weight", {options.vocabulary, options.width}, true, options.initializer);
  std::vector<int> parameters = {shape.table};
  if (!options.positions.empty()) {
    shape.positions = builder.AddParameter(options.positions + ".weight", {options.context, options.width},
                                           true, options.initializer);
    parameters.push_back(shape.positions);
  }
  EmbeddingValue value;
  value.table = shape.table;
  value.output = builder.Append(std::make_unique<EmbeddingNode>(name, shape), {tokens},
                                {shape.steps, options.width}, parameters);
  return value;
}

int AppendTiedOutput(GraphBuilder& builder, const std::string& name, int input,
                     const EmbeddingValue& embedding) {
  builder.KeepForBackward(embedding.output, input);
  LinearOptions options;
  options.bias = false;
  options.tied = embedding.table;
  return AppendLinear(builder, name, input, builder.parameter_shape(embedding.table)[0], options);
}

}  // namespace lockstep::engine
