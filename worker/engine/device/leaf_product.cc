#include "worker/engine/device/leaf_product.h"

#include "kernels/cuda/shard_outer.h"
#include "kernels/cuda/tree_add.h"

namespace lockstep::engine {
namespace {

using kernels::OuterProduct;
using kernels::ToStatus;

// Subtrees that are open at once besides the largest, a leaf included: where the leaf of an even number
// closes some, it has a place of its own until then.
int64_t OpenAtOnce(int64_t shards) {
  int64_t open = 0;
  while (int64_t{2} << open <= shards) ++open;
  return open;
}

// The pass's tree is the samples'; a row of `a` is one of a sample's positions.
kernels::DeviceTree TreeOfRows(const DevicePass& pass, const ShardProduct& product) {
  return Positions(pass.tree, product.k / pass.tree.rows_per_shard);
}

}  // namespace

LeafProduct::Layout::Layout(const ShardProduct& product, int64_t shards, const kernels::LtLibrary& library)
    : ProductLayout(library) {
  slot = DeviceAligned(product.m * product.n * int64_t{sizeof(float)}) / int64_t{sizeof(float)};
  waiting = Add(OpenAtOnce(shards) * slot * int64_t{sizeof(float)});
  a = Add(product.bf16() ? shards * product.k * product.m * 2 : 0);
  b = Add(product.bf16() ? shards * product.k * product.n * 2 : 0);
}

LeafProduct::LeafProduct(const kernels::LtContext& context, const ShardProduct& product, int shards,
                         float* scratch, float* a, float* b, int64_t weight)
    : LibraryProduct(context, product, shards, scratch),
      layout_(product, shards, context.library()),
      a_(a),
      b_(b),
      weight_(weight) {}

int64_t LeafProduct::Scratch(const ShardProduct& product, const Extent& extent) {
  if (extent.products == nullptr || !product.WorthIt(*extent.products)) return 0;
  return Layout(product, extent.rows / extent.rows_per_shard, *extent.products).floats();
}

absl::Status LeafProduct::Plan() {
  kernels::LtShape shape;
  shape.type = product_.type;
  shape.m = product_.m, shape.n = product_.n, shape.k = product_.k;
  shape.a_transposed = true;
  shape.a_stride = product_.k * product_.m, shape.b_stride = product_.k * product_.n;
  ASSIGN_OR_RETURN(one_, kernels::LtProduct::Make(context_, shape));
  return absl::OkStatus();
}

absl::Status LeafProduct::Fill(const DevicePass&, const kernels::DeviceStream& stream) const {
  RETURN_IF_ERROR(FillWithTrialNumbers(shards_ * product_.k * product_.m, a_, stream));
  return FillWithTrialNumbers(shards_ * product_.k * product_.n, b_, stream);
}

OuterProduct LeafProduct::Trial(const DevicePass& pass) const {
  OuterProduct trial;
  trial.m = product_.m, trial.n = product_.n;
  trial.a = a_, trial.lda = product_.m;
  trial.b = b_, trial.ldb = product_.n;
  trial.out = pass.node_sums + weight_;
  trial.node_stride = pass.gradient_size;
  return trial;
}

absl::Status LeafProduct::TryOwn(const DevicePass& pass) const {
  return ToStatus(kernels::cuda::ShardOuterProduct(product_.type, TreeOfRows(pass, product_), Trial(pass),
                                                   scratch_, pass.stream));
}
absl::Status LeafProduct::Try(const DevicePass& pass) const { return Sum(pass, Trial(pass)); }

LibraryProduct::Result LeafProduct::ResultOf(const DevicePass& pass) const {
  return {pass.node_sums + weight_, product_.m * product_.n};  // the first node's
}

absl::Status LeafProduct::Sum(const DevicePass& pass, const OuterProduct& arguments) const {
  const ShardProduct& p = product_;
  const kernels::Stream stream = pass.stream;
  const kernels::DeviceTree tree = TreeOfRows(pass, p);
  const void* a = arguments.a;
  const void* b = arguments.b;
  const int64_t element = p.bf16() ? 2 : 4;
  if (p.bf16()) {
    auto* const of_a = ProductLayout::At<uint16_t>(scratch_, layout_.a);
    auto* const of_b = ProductLayout::At<uint16_t>(scratch_, layout_.b);
    RETURN_IF_ERROR(ToStatus(kernels::cuda::RoundToBf16(shards_ * p.k * p.m, arguments.a, of_a, stream)));
    RETURN_IF_ERROR(ToStatus(kernels::cuda::RoundToBf16(shards_ * p.k * p.n, arguments.b, of_b, stream)));
    a = of_a, b = of_b;
  }
  auto* const slots = ProductLayout::At<float>(scratch_, layout_.waiting);
  int shard = 0;
  for (int node = 0; node < tree.nodes; ++node) {
    float* const out = arguments.out + node * arguments.node_stride;
    const auto waiting = [&](int depth) { return depth == 0 ? out : slots + (depth - 1) * layout_.slot; };
    int depth = 0;  // open subtrees
    const auto close = [&] {
      --depth;
      return ToStatus(kernels::cuda::TreeAddInto(p.m * p.n, waiting(depth), waiting(depth - 1), stream));
    };
    for (unsigned ordinal = 1; shard < pass.node_end[node]; ++shard, ++ordinal) {
      const int64_t first = tree.first(shard);
      if (pass.shard_rows[shard] == tree.rows_per_shard) {
        RETURN_IF_ERROR(one_->Run(*algorithm_, static_cast<const char*>(a) + first * p.m * element,
                                  static_cast<const char*>(b) + first * p.n * element, waiting(depth),
                                  layout_.workspace(scratch_), stream));
      } else {
        RETURN_IF_ERROR(ToStatus(kernels::cuda::OuterLeaf(
            p.type, int64_t{pass.shard_rows[shard]} * tree.positions, p.m, p.n, arguments.a + first * p.m,
            arguments.b + first * p.n, waiting(depth), stream)));
      }
      ++depth;
      for (unsigned left = ordinal; left % 2 == 0; left /= 2) RETURN_IF_ERROR(close());
    }
    while (depth > 1) RETURN_IF_ERROR(close());
  }
  return absl::OkStatus();
}

kernels::Launched SumProducts(LeafProduct* product, kernels::GemmType type, const DevicePass& pass,
                              const kernels::DeviceTree& tree, const OuterProduct& arguments,
                              float* scratch) {
  if (product != nullptr && product->by_library()) return product->Run(pass, arguments);
  return kernels::cuda::ShardOuterProduct(type, tree, arguments, scratch, pass.stream);
}

}  // namespace lockstep::engine
