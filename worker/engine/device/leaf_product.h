// A weight's gradient: for each logical shard the leaf (m, n) = a^T b over its real rows, then the tree
// (kernels/shard_outer.h). A shard that is full is a product of one shape, and may be the library's; one that
// is not is our own kernel's, so that a leaf's bits depend on the shard alone.
#pragma once

#include "kernels/shard_outer.h"
#include "worker/engine/device/library_product.h"

namespace lockstep::engine {

class LeafProduct final : public LibraryProduct {
 public:
  // a (shards * k, m), b (shards * k, n); `weight`: the gradient's offset in a row of node sums.
  LeafProduct(const kernels::LtContext& context, const ShardProduct& product, int shards, float* scratch,
              float* a, float* b, int64_t weight);
  static int64_t Scratch(const ShardProduct& product, const Extent& extent);  // floats; 0: not worth it

  absl::Status Plan() override;
  absl::Status Fill(const DevicePass& pass, const kernels::DeviceStream& stream) const override;
  absl::Status TryOwn(const DevicePass& pass) const override;
  absl::Status Try(const DevicePass& pass) const override;
  Result ResultOf(const DevicePass& pass) const override;
  uint64_t* hash() const override { return layout_.hash(scratch_); }

  // kernels::cuda::ShardOuterProduct of the product's shape, dense. REQUIRES: by_library
  kernels::Launched Run(const DevicePass& pass, const kernels::OuterProduct& arguments) {
    return Report(Sum(pass, arguments));
  }

 private:
  struct Layout : ProductLayout {
    Layout(const ShardProduct& product, int64_t shards, const kernels::LtLibrary& library);
    int64_t waiting, slot;  // subtrees, and how far they are apart, in floats
    int64_t a, b;           // in bfloat16
  };
  kernels::OuterProduct Trial(const DevicePass& pass) const;
  absl::Status Sum(const DevicePass& pass, const kernels::OuterProduct& arguments) const;

  const Layout layout_;
  float* const a_;
  float* const b_;
  const int64_t weight_;
};

// kernels::cuda::ShardOuterProduct, or `product` (null: none).
kernels::Launched SumProducts(LeafProduct* product, kernels::GemmType type, const DevicePass& pass,
                              const kernels::DeviceTree& tree, const kernels::OuterProduct& arguments,
                              float* scratch);

}  // namespace lockstep::engine
